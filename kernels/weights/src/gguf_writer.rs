use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use crate::{
    GgufValue, NewTensor,
    gguf_cursor::MAX_HEADER_LEN,
    gguf_header::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, MAX_STORED_RANK, ORIGINAL_SHAPE_PREFIX},
    gguf_type::number_of,
    gguf_value::kind,
    safetensors_header::MAX_TENSORS,
    tensor_name::{is_tensor_name, shown},
};

/// Why a GGUF file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GgufWriteError {
    /// A tensor cannot be described in a way that the reader accepts.
    #[error("tensor \"{name}\" cannot be written: {reason}")]
    Tensor {
        /// The tensor's name, escaped and cut.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A metadata entry cannot be written.
    #[error("the metadata entry \"{key}\" cannot be written: {reason}")]
    Metadata {
        /// The entry's key, escaped and cut.
        key: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// There are more tensors than the reader accepts.
    #[error("{found} tensors are more than the {limit} that one file may list")]
    TooManyTensors {
        /// How many there are.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// The header would be longer than the reader accepts.
    #[error("the header takes {found} bytes where {limit} are allowed; shorten the metadata")]
    HeaderLength {
        /// The length of the header.
        found: u64,
        /// The longest that is accepted.
        limit: u64,
    },
    /// The bytes pushed are not as many as the next tensor takes.
    #[error(
        "tensor {name} came with {found} bytes where {expected} were due; push the tensors in the order of the list"
    )]
    Length {
        /// The tensor whose turn it is.
        name: String,
        /// How many bytes came.
        found: u64,
        /// How many it takes.
        expected: u64,
    },
    /// Bytes were pushed after the last tensor.
    #[error("{found} bytes came after the last of {tensors} tensors")]
    TooMany {
        /// How many bytes came.
        found: u64,
        /// How many tensors were announced.
        tensors: usize,
    },
    /// The file was finished before all tensors came.
    #[error("tensor {name} and what follows it never came, so the file is incomplete")]
    Unfinished {
        /// The first tensor that is missing.
        name: String,
    },
    /// The bytes could not be written out.
    #[error("cannot write the GGUF file")]
    Write {
        /// What the platform said.
        source: io::Error,
    },
}

/// A GGUF file of version 3 that is written front to back: first the header, then one tensor after another.
///
/// A block-quantised tensor of more than two dimensions, such as a convolution's weight, is stored as the matrix
/// `[out, in * height * width]`, so that whole blocks fill its rows, and its shape is noted under
/// `comfy.gguf.orig_shape.<name>` as `ComfyUI-GGUF` does.
#[derive(Debug)]
pub struct GgufWriter<W> {
    out: W,
    /// Name and length of each tensor, in order.
    due: Vec<(String, u64)>,
    written: usize,
    /// Bytes of the next tensor that came already.
    begun: u64,
}

impl<W: Write> GgufWriter<W> {
    /// Write the header for `tensors`, whose bytes are then pushed in the same order.
    ///
    /// # Errors
    ///
    /// A [`GgufWriteError`] where the header would be refused by [`crate::GgufFile`], checked before the first byte is
    /// written, or where `out` fails.
    pub fn new(mut out: W, metadata: &[(String, GgufValue)], tensors: &[NewTensor]) -> Result<Self, GgufWriteError> {
        if tensors.len() > MAX_TENSORS {
            return Err(GgufWriteError::TooManyTensors { found: tensors.len(), limit: MAX_TENSORS });
        }
        let stored = tensors.iter().map(Stored::of).collect::<Result<Vec<_>, _>>()?;
        let originals = stored.iter().filter_map(Stored::original);
        let entries: Vec<_> = metadata.iter().cloned().chain(originals).collect();
        check_unique(&entries, tensors)?;

        let mut header = Vec::new();
        header.extend(MAGIC);
        header.extend(3u32.to_le_bytes());
        header.extend((stored.len() as u64).to_le_bytes());
        header.extend((entries.len() as u64).to_le_bytes());
        for (key, value) in &entries {
            put_entry(&mut header, key, value)?;
        }
        let mut offset = 0u64;
        for Stored { tensor, dims, number, bytes } in &stored {
            put_text(&mut header, &tensor.name);
            header.extend((dims.len() as u32).to_le_bytes());
            header.extend(dims.iter().rev().flat_map(|dim| dim.to_le_bytes()));
            header.extend(number.to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset = bytes.checked_next_multiple_of(DEFAULT_ALIGNMENT).and_then(|len| offset.checked_add(len)).ok_or(
                GgufWriteError::Tensor {
                    name: tensor.name.clone(),
                    reason: "the file would have more than 2^64 bytes",
                },
            )?;
        }
        let found = header.len() as u64;
        if found > MAX_HEADER_LEN {
            return Err(GgufWriteError::HeaderLength { found, limit: MAX_HEADER_LEN });
        }
        header.resize(header.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
        out.write_all(&header).map_err(|source| GgufWriteError::Write { source })?;
        let due = stored.into_iter().map(|stored| (stored.tensor.name.clone(), stored.bytes)).collect();
        Ok(Self { out, due, written: 0, begun: 0 })
    }

    /// Write the stored bytes of the next tensor.
    ///
    /// # Errors
    ///
    /// [`GgufWriteError::Length`] and [`GgufWriteError::TooMany`] where they are not the bytes that are due, before
    /// any is written; [`GgufWriteError::Write`] where `out` fails.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), GgufWriteError> {
        let found = bytes.len() as u64;
        match self.due.get(self.written) {
            Some((name, expected)) if found + self.begun != *expected => {
                Err(GgufWriteError::Length { name: name.clone(), found, expected: *expected })
            }
            _ => self.push_part(bytes),
        }
    }

    /// Write some of the stored bytes of the next tensor, which is complete with the last of them.
    ///
    /// # Errors
    ///
    /// [`GgufWriteError::Length`] and [`GgufWriteError::TooMany`] for bytes beyond those that are due, before any is
    /// written; [`GgufWriteError::Write`] where `out` fails.
    pub fn push_part(&mut self, bytes: &[u8]) -> Result<(), GgufWriteError> {
        const PADDING: [u8; DEFAULT_ALIGNMENT as usize] = [0; DEFAULT_ALIGNMENT as usize];
        let Some((name, expected)) = self.due.get(self.written) else {
            return Err(GgufWriteError::TooMany { found: bytes.len() as u64, tensors: self.due.len() });
        };
        let found = self.begun + bytes.len() as u64;
        if found > *expected {
            return Err(GgufWriteError::Length { name: name.clone(), found, expected: *expected });
        }
        let is_complete = found == *expected;
        let padding = if is_complete { found.next_multiple_of(DEFAULT_ALIGNMENT) - found } else { 0 };
        self.out
            .write_all(bytes)
            .and_then(|()| self.out.write_all(&PADDING[..padding as usize]))
            .map_err(|source| GgufWriteError::Write { source })?;
        self.begun = if is_complete { 0 } else { found };
        self.written += usize::from(is_complete);
        Ok(())
    }

    /// End the file and give back what it was written to.
    ///
    /// # Errors
    ///
    /// [`GgufWriteError::Unfinished`] where tensors are still due; [`GgufWriteError::Write`] where `out` fails.
    pub fn finish(mut self) -> Result<W, GgufWriteError> {
        if let Some((name, _)) = self.due.get(self.written) {
            return Err(GgufWriteError::Unfinished { name: name.clone() });
        }
        self.out.flush().map_err(|source| GgufWriteError::Write { source })?;
        Ok(self.out)
    }
}

/// A tensor as the header will state it.
struct Stored<'a> {
    tensor: &'a NewTensor,
    /// Slowest first.
    dims: Vec<u64>,
    number: u32,
    bytes: u64,
}

impl<'a> Stored<'a> {
    fn of(tensor: &'a NewTensor) -> Result<Self, GgufWriteError> {
        let NewTensor { name, dtype, shape } = tensor;
        let refused = |reason| GgufWriteError::Tensor { name: shown(name), reason };
        if !is_tensor_name(name) {
            return Err(refused("its name is not made of 1 to 256 of A-Z a-z 0-9 . _ / - without a .. segment"));
        }
        let number = number_of(*dtype).ok_or_else(|| refused("GGUF has no such kind; store it as I8"))?;
        if shape.contains(&0) {
            return Err(refused("it has a dimension of length 0"));
        }
        if shape.iter().any(|&dim| i32::try_from(dim).is_err()) {
            return Err(refused("it has a dimension that does not fit in 31 bits"));
        }
        let dims: Vec<u64> = shape.iter().map(|&dim| dim as u64).collect();
        let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
        let Some(elements) = elements.filter(|&elements| i64::try_from(elements).is_ok()) else {
            return Err(refused("its shape is too large to count its bytes"));
        };
        let dims = match dims.first() {
            Some(&rows) if dtype.is_block_quantised() && dims.len() > 2 => vec![rows, elements / rows],
            _ => dims,
        };
        if dims.len() > MAX_STORED_RANK {
            return Err(refused("it has more than 4 dimensions"));
        }
        if !dims.last().copied().unwrap_or(1).is_multiple_of(dtype.block_len() as u64) {
            return Err(refused("its rows do not fill the blocks of its kind; store it as F16"));
        }
        let bytes = dtype.byte_len(elements).ok_or_else(|| refused("its shape is too large to count its bytes"))?;
        Ok(Self { tensor, dims, number, bytes })
    }

    /// The metadata that brings a flattened tensor's shape back.
    fn original(&self) -> Option<(String, GgufValue)> {
        let NewTensor { name, shape, .. } = self.tensor;
        // Every dimension was checked to fit.
        let dims = || shape.iter().map(|&dim| dim as i32).collect();
        (self.dims.len() != shape.len())
            .then(|| (format!("{ORIGINAL_SHAPE_PREFIX}{name}"), GgufValue::I32Array(dims())))
    }
}

fn check_unique(entries: &[(String, GgufValue)], tensors: &[NewTensor]) -> Result<(), GgufWriteError> {
    let mut seen = BTreeSet::new();
    for (key, _) in entries {
        let reason = match key.as_str() {
            "" => "its key is empty",
            ALIGNMENT_KEY => "the alignment is always 32",
            key if !seen.insert(key) => "its key is there twice",
            _ => continue,
        };
        return Err(GgufWriteError::Metadata { key: shown(key), reason });
    }
    let mut seen = BTreeSet::new();
    match tensors.iter().find(|tensor| !seen.insert(tensor.name.as_str())) {
        None => Ok(()),
        Some(twin) => Err(GgufWriteError::Tensor { name: shown(&twin.name), reason: "two tensors have this name" }),
    }
}

fn put_text(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

fn put_entry(header: &mut Vec<u8>, key: &str, value: &GgufValue) -> Result<(), GgufWriteError> {
    put_text(header, key);
    let put = |header: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
        header.extend(kind.to_le_bytes());
        header.extend(bytes);
    };
    let put_list = |header: &mut Vec<u8>, element: u32, elements: usize| {
        put(header, kind::ARRAY, &element.to_le_bytes());
        header.extend((elements as u64).to_le_bytes());
    };
    match value {
        GgufValue::U32(value) => put(header, kind::U32, &value.to_le_bytes()),
        GgufValue::I32(value) => put(header, kind::I32, &value.to_le_bytes()),
        GgufValue::U64(value) => put(header, kind::U64, &value.to_le_bytes()),
        GgufValue::I64(value) => put(header, kind::I64, &value.to_le_bytes()),
        GgufValue::F32(value) => put(header, kind::F32, &value.to_le_bytes()),
        GgufValue::F64(value) => put(header, kind::F64, &value.to_le_bytes()),
        GgufValue::Bool(value) => put(header, kind::BOOL, &[u8::from(*value)]),
        GgufValue::String(text) => {
            put(header, kind::STRING, &[]);
            put_text(header, text);
        }
        GgufValue::I32Array(list) => {
            put_list(header, kind::I32, list.len());
            header.extend(list.iter().flat_map(|value| value.to_le_bytes()));
        }
        GgufValue::StringArray(list) => {
            put_list(header, kind::STRING, list.len());
            for text in list {
                put_text(header, text);
            }
        }
        GgufValue::Skipped { .. } => {
            return Err(GgufWriteError::Metadata { key: shown(key), reason: "its list was not kept when it was read" });
        }
    }
    Ok(())
}
