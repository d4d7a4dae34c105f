use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    Dtype, NewTensor,
    safetensors_header::{LENGTH_BYTES, MAX_HEADER_LEN, MAX_RANK, MAX_TENSORS, METADATA_KEY},
    tensor_name::{is_tensor_name, shown},
};

/// One tensor to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorView<'a> {
    /// The key under which the file will list it.
    pub name: &'a str,
    /// How its elements are stored; safetensors has no block-quantised kinds.
    pub dtype: Dtype,
    /// Its dimensions in row-major order, slowest first.
    pub shape: &'a [usize],
    /// Its elements, little-endian.
    pub bytes: &'a [u8],
}

/// Why a safetensors file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsWriteError {
    /// A tensor cannot be described in a way that the reader accepts.
    #[error("tensor \"{name}\" cannot be written: {reason}")]
    Tensor {
        /// The tensor's name, escaped and cut.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A tensor's bytes are not as many as its shape takes.
    #[error("tensor {name} came with {found} bytes, but {dtype} in shape {shape:?} takes {expected}")]
    Length {
        /// The tensor's name.
        name: String,
        /// The tensor's kind.
        dtype: Dtype,
        /// The tensor's dimensions.
        shape: Vec<usize>,
        /// How many bytes came.
        found: u64,
        /// How many the shape takes.
        expected: u64,
    },
    /// Bytes came after the last tensor.
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
    /// There are more tensors than the reader accepts.
    #[error("{found} tensors are more than the {limit} that one file may list; write several files")]
    TooManyTensors {
        /// How many there are.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// The header could not be put into words.
    #[error("cannot write the header as JSON")]
    Header {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The header would be longer than the reader accepts.
    #[error("the header takes {found} bytes where {limit} are allowed; shorten the metadata")]
    HeaderLength {
        /// The length of the header.
        found: u64,
        /// The longest that is accepted.
        limit: u64,
    },
    /// The bytes could not be written out.
    #[error("cannot write the safetensors file")]
    Write {
        /// What the platform said.
        source: io::Error,
    },
}

/// Write tensors and their metadata as one safetensors file.
///
/// Tensors are laid out from the widest elements to the narrowest and then by name, as the format's own library does,
/// so every tensor is aligned to its elements and the same tensors always give the same file.
///
/// # Errors
///
/// A [`SafetensorsWriteError`] where a tensor or the header would be refused by [`crate::SafetensorsFile`], checked
/// before the first byte is written, or where `out` fails.
pub fn write_safetensors<'a, W: Write>(
    out: W,
    tensors: impl IntoIterator<Item = TensorView<'a>>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), SafetensorsWriteError> {
    let (tensors, bytes): (Vec<_>, Vec<_>) = tensors
        .into_iter()
        .map(|TensorView { name, dtype, shape, bytes }| {
            (NewTensor { name: name.to_owned(), dtype, shape: shape.to_vec() }, bytes)
        })
        .unzip();
    for (tensor, bytes) in tensors.iter().zip(&bytes) {
        check_length(tensor, byte_len(tensor)?, bytes.len() as u64)?;
    }
    stream_safetensors(out, &tensors, metadata, |index| Ok(bytes[index]))
}

/// Write a safetensors file as [`write_safetensors`] does, with one tensor in memory at a time.
///
/// `bytes_of` is asked for the bytes of each of `tensors` by its index, in the order of the file.
///
/// # Errors
///
/// As [`write_safetensors`], but the number of a tensor's bytes is only known when its turn comes; and whatever
/// `bytes_of` fails with. What was written by then is no whole file.
pub fn stream_safetensors<W: Write, B: AsRef<[u8]>, E: From<SafetensorsWriteError>>(
    out: W,
    tensors: &[NewTensor],
    metadata: &BTreeMap<String, String>,
    mut bytes_of: impl FnMut(usize) -> Result<B, E>,
) -> Result<(), E> {
    let mut writer = SafetensorsWriter::new(out, tensors, metadata)?;
    for index in writer.order().to_vec() {
        let bytes = bytes_of(index)?;
        check_length(&tensors[index], byte_len(&tensors[index])?, bytes.as_ref().len() as u64)?;
        writer.push_part(bytes.as_ref())?;
    }
    writer.finish()?;
    Ok(())
}

/// A safetensors file that is written front to back, its tensors piece by piece.
#[derive(Debug)]
pub struct SafetensorsWriter<W> {
    out: W,
    tensors: Vec<NewTensor>,
    order: Vec<usize>,
    /// How many tensors are complete.
    written: usize,
    /// Bytes of the next tensor that came already.
    begun: u64,
}

impl<W: Write> SafetensorsWriter<W> {
    /// Write the header for `tensors`, whose bytes are then pushed in the order that [`Self::order`] gives.
    ///
    /// # Errors
    ///
    /// A [`SafetensorsWriteError`] where the header would be refused by [`crate::SafetensorsFile`], checked before the
    /// first byte is written, or where `out` fails.
    pub fn new(
        mut out: W,
        tensors: &[NewTensor],
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, SafetensorsWriteError> {
        let lengths = tensors.iter().map(byte_len).collect::<Result<Vec<_>, _>>()?;
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by_key(|&index| (Reverse(tensors[index].dtype.block_bytes()), &tensors[index].name));
        let header = header(tensors, &lengths, &order, metadata)?;
        out.write_all(&(header.len() as u64).to_le_bytes())
            .and_then(|()| out.write_all(&header))
            .map_err(|source| SafetensorsWriteError::Write { source })?;
        Ok(Self { out, tensors: tensors.to_vec(), order, written: 0, begun: 0 })
    }

    /// The places in the list of tensors in the order of the file.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Write some of the bytes of the next tensor, which is complete with the last of them.
    ///
    /// # Errors
    ///
    /// [`SafetensorsWriteError::Length`] and [`SafetensorsWriteError::TooMany`] for bytes beyond those that are due, before
    /// any is written; [`SafetensorsWriteError::Write`] where `out` fails.
    pub fn push_part(&mut self, bytes: &[u8]) -> Result<(), SafetensorsWriteError> {
        let Some(&index) = self.order.get(self.written) else {
            return Err(SafetensorsWriteError::TooMany { found: bytes.len() as u64, tensors: self.tensors.len() });
        };
        let expected = byte_len(&self.tensors[index])?;
        let found = self.begun + bytes.len() as u64;
        if found > expected {
            check_length(&self.tensors[index], expected, found)?;
        }
        self.out.write_all(bytes).map_err(|source| SafetensorsWriteError::Write { source })?;
        let is_complete = found == expected;
        self.begun = if is_complete { 0 } else { found };
        self.written += usize::from(is_complete);
        Ok(())
    }

    /// End the file and give back what it was written to.
    ///
    /// # Errors
    ///
    /// [`SafetensorsWriteError::Unfinished`] where tensors are still due; [`SafetensorsWriteError::Write`] where `out` fails.
    pub fn finish(mut self) -> Result<W, SafetensorsWriteError> {
        if let Some(&index) = self.order.get(self.written) {
            return Err(SafetensorsWriteError::Unfinished { name: self.tensors[index].name.clone() });
        }
        self.out.flush().map_err(|source| SafetensorsWriteError::Write { source })?;
        Ok(self.out)
    }
}

fn header(
    tensors: &[NewTensor],
    lengths: &[u64],
    order: &[usize],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, SafetensorsWriteError> {
    if tensors.len() > MAX_TENSORS {
        return Err(SafetensorsWriteError::TooManyTensors { found: tensors.len(), limit: MAX_TENSORS });
    }
    let mut names = BTreeSet::new();
    if let Some(twin) = tensors.iter().find(|tensor| !names.insert(&tensor.name)) {
        return Err(SafetensorsWriteError::Tensor { name: shown(&twin.name), reason: "two tensors have this name" });
    }
    let mut header = serde_json::to_vec(&Header { tensors, lengths, order, metadata })
        .map_err(|source| SafetensorsWriteError::Header { source })?;
    header.resize(header.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    let found = header.len() as u64;
    if found > MAX_HEADER_LEN {
        return Err(SafetensorsWriteError::HeaderLength { found, limit: MAX_HEADER_LEN });
    }
    Ok(header)
}

/// How many bytes a tensor takes, if it may be written at all.
fn byte_len(tensor: &NewTensor) -> Result<u64, SafetensorsWriteError> {
    let NewTensor { name, dtype, shape } = tensor;
    let refused = |reason| Err(SafetensorsWriteError::Tensor { name: shown(name), reason });
    if !is_tensor_name(name) || name == METADATA_KEY {
        return refused("its name is not made of 1 to 256 of A-Z a-z 0-9 . _ / - without a .. segment");
    }
    if dtype.is_block_quantised() {
        return refused("safetensors has no block-quantised kinds; write GGUF");
    }
    if shape.len() > MAX_RANK {
        return refused("it has more than 8 dimensions");
    }
    if shape.contains(&0) {
        return refused("it has a dimension of length 0");
    }
    let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    elements
        .and_then(|elements| dtype.byte_len(elements))
        .map_or_else(|| refused("its shape is too large to count its bytes"), Ok)
}

fn check_length(tensor: &NewTensor, expected: u64, found: u64) -> Result<(), SafetensorsWriteError> {
    if found == expected {
        return Ok(());
    }
    let NewTensor { name, dtype, shape } = tensor.clone();
    Err(SafetensorsWriteError::Length { name, dtype, shape, found, expected })
}

struct Header<'a> {
    tensors: &'a [NewTensor],
    lengths: &'a [u64],
    order: &'a [usize],
    metadata: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: (u64, u64),
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA_KEY, self.metadata)?;
        }
        let mut begin = 0;
        for &index in self.order {
            let NewTensor { name, dtype, shape } = &self.tensors[index];
            let end = begin + self.lengths[index];
            map.serialize_entry(name, &Entry { dtype: dtype.as_str(), shape, data_offsets: (begin, end) })?;
            begin = end;
        }
        map.end()
    }
}
