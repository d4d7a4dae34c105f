use std::collections::BTreeMap;

use crate::{
    Dtype, GgufError, GgufValue, ReadAt, TensorInfo, UnsupportedTensor,
    gguf_cursor::Cursor,
    gguf_metadata::read_metadata,
    gguf_type::{dtype_of, name_of},
    safetensors_header::{MAX_RANK, MAX_TENSORS},
    tensor::checked_shape,
    tensor_name::{is_tensor_name, shown},
};

/// The first bytes of every GGUF file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
/// What offsets are a multiple of where the metadata does not say.
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;
/// The metadata key of the alignment.
pub(crate) const ALIGNMENT_KEY: &str = "general.alignment";
/// In front of a tensor's name, the metadata key of the shape it had before it was flattened
/// (<https://github.com/city96/ComfyUI-GGUF/blob/main/loader.py>).
pub(crate) const ORIGINAL_SHAPE_PREFIX: &str = "comfy.gguf.orig_shape.";
/// Most dimensions of a stored tensor.
pub(crate) const MAX_STORED_RANK: usize = 4;
/// Most entries of the metadata: some dozens, and one original shape per tensor.
const MAX_METADATA: u64 = 32_768;
const MAX_ALIGNMENT: u32 = 4096;

/// A header that was checked against the file it stands in.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, GgufValue>,
    /// Sorted by name.
    pub(crate) tensors: Vec<TensorInfo>,
    /// Sorted by name.
    pub(crate) unsupported: Vec<UnsupportedTensor>,
}

impl Header {
    /// Read the header of the file behind `reader` and check all that it claims.
    pub(crate) fn read<R: ReadAt + ?Sized>(reader: &R) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(reader);
        let magic = cursor.array("the magic")?;
        if magic != MAGIC {
            return Err(GgufError::Magic { found: magic });
        }
        let version = cursor.u32("the version")?;
        if !matches!(version, 2 | 3) {
            return Err(GgufError::Version { found: version });
        }
        let tensor_count = cursor.u64("the count of tensors")?;
        let metadata_count = cursor.u64("the count of metadata")?;
        at_most("tensors", tensor_count, MAX_TENSORS as u64)?;
        at_most("metadata entries", metadata_count, MAX_METADATA)?;
        let metadata = read_metadata(&mut cursor, metadata_count)?;
        let alignment = alignment_of(&metadata)?;

        // A name's length and one character, the count of dimensions, the type, the offset.
        cursor.need_items("the list of tensors", tensor_count, 8 + 1 + 4 + 4 + 8)?;
        let entries = (0..tensor_count).map(|_| Entry::read(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
        let start = cursor.position().next_multiple_of(alignment);
        let data = Data { start, len: reader.len().saturating_sub(start), alignment };

        let mut tensors = Vec::with_capacity(entries.len());
        let mut unsupported = Vec::new();
        for entry in entries {
            match dtype_of(entry.kind) {
                Some(dtype) => tensors.push(entry.check(dtype, &metadata, &data)?),
                None => unsupported.push(entry.check_unsupported(&data)?),
            }
        }
        check_overlaps(&mut tensors)?;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        unsupported.sort_by(|a, b| a.name.cmp(&b.name));
        check_names(&tensors, &unsupported)?;
        Ok(Self { metadata, tensors, unsupported })
    }
}

fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), GgufError> {
    if found <= limit { Ok(()) } else { Err(GgufError::TooMany { what, found, limit }) }
}

fn alignment_of(metadata: &BTreeMap<String, GgufValue>) -> Result<u64, GgufError> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&GgufValue::U32(found)) if found.is_power_of_two() && found <= MAX_ALIGNMENT => Ok(u64::from(found)),
        Some(other) => Err(GgufError::Alignment { found: brief(other) }),
    }
}

/// A value for an error message, cut like a name.
fn brief(value: &GgufValue) -> String {
    match value {
        GgufValue::I32Array(dims) if dims.len() > MAX_RANK => format!("of {} dimensions", dims.len()),
        GgufValue::StringArray(texts) => format!("a list of {} texts", texts.len()),
        GgufValue::String(text) => format!("the text \"{}\"", shown(text)),
        other => format!("{other:?}"),
    }
}

/// The part of the file behind the header.
struct Data {
    start: u64,
    len: u64,
    alignment: u64,
}

/// A tensor as the header states it.
struct Entry {
    name: String,
    /// Slowest first, which is not how the file has them.
    dims: Vec<u64>,
    kind: u32,
    /// Counted from the start of the data.
    offset: u64,
}

impl Entry {
    fn read<R: ReadAt + ?Sized>(cursor: &mut Cursor<'_, R>) -> Result<Self, GgufError> {
        let name = cursor.text("a tensor's name")?;
        if !is_tensor_name(&name) {
            return Err(GgufError::TensorName { name: shown(&name) });
        }
        let rank = cursor.u32("a tensor's count of dimensions")?;
        if rank as usize > MAX_STORED_RANK {
            return Err(GgufError::Rank { name, found: rank });
        }
        let mut dims = (0..rank).map(|_| cursor.u64("a tensor's dimension")).collect::<Result<Vec<_>, _>>()?;
        dims.reverse();
        if dims.contains(&0) {
            return Err(GgufError::ZeroDimension { name });
        }
        let kind = cursor.u32("a tensor's type")?;
        let offset = cursor.u64("a tensor's offset")?;
        Ok(Self { name, dims, kind, offset })
    }

    fn check(self, dtype: Dtype, metadata: &BTreeMap<String, GgufValue>, data: &Data) -> Result<TensorInfo, GgufError> {
        let Self { name, dims, offset, .. } = self;
        let row = dims.last().copied().unwrap_or(1);
        if !row.is_multiple_of(dtype.block_len() as u64) {
            return Err(GgufError::Row { name, dtype, row });
        }
        let counted =
            checked_shape(&dims).and_then(|(shape, elements)| Some((shape, elements, dtype.byte_len(elements)?)));
        let Some((shape, elements, bytes)) = counted else {
            return Err(GgufError::SizeOverflow { name, shape: dims });
        };
        check_offset(&name, offset, bytes, data)?;
        let shape = match metadata.get(&format!("{ORIGINAL_SHAPE_PREFIX}{name}")) {
            None => shape,
            Some(value) => original_shape(value, elements).ok_or_else(|| GgufError::OriginalShape {
                name: name.clone(),
                original: brief(value),
                elements,
            })?,
        };
        Ok(TensorInfo { name, dtype, shape, offset: data.start + offset, bytes })
    }

    /// The size of such a tensor is not known, so only its first byte is checked.
    fn check_unsupported(self, data: &Data) -> Result<UnsupportedTensor, GgufError> {
        let Self { name, dims, kind, offset } = self;
        let Some((shape, _)) = checked_shape(&dims) else {
            return Err(GgufError::SizeOverflow { name, shape: dims });
        };
        check_offset(&name, offset, 1, data)?;
        Ok(UnsupportedTensor { name, kind: name_of(kind), shape })
    }
}

fn check_offset(name: &str, offset: u64, bytes: u64, data: &Data) -> Result<(), GgufError> {
    let &Data { len, alignment, .. } = data;
    if !offset.is_multiple_of(alignment) {
        return Err(GgufError::Misaligned { name: name.to_owned(), offset, alignment });
    }
    match offset.checked_add(bytes) {
        Some(end) if end <= len => Ok(()),
        _ => Err(GgufError::OutOfFile { name: name.to_owned(), offset, bytes, data: len }),
    }
}

fn original_shape(value: &GgufValue, elements: u64) -> Option<Vec<usize>> {
    let GgufValue::I32Array(dims) = value else { return None };
    if dims.len() > MAX_RANK {
        return None;
    }
    let dims = dims.iter().map(|&dim| u64::try_from(dim).ok()).collect::<Option<Vec<_>>>()?;
    checked_shape(&dims).filter(|(_, original)| *original == elements).map(|(shape, _)| shape)
}

fn check_overlaps(tensors: &mut [TensorInfo]) -> Result<(), GgufError> {
    tensors.sort_by_key(|tensor| tensor.offset);
    match tensors.array_windows().find(|[first, second]| first.offset + first.bytes > second.offset) {
        None => Ok(()),
        Some([first, second]) => Err(GgufError::Overlap { first: first.name.clone(), second: second.name.clone() }),
    }
}

fn check_names(tensors: &[TensorInfo], unsupported: &[UnsupportedTensor]) -> Result<(), GgufError> {
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.extend(unsupported.iter().map(|tensor| tensor.name.as_str()));
    names.sort_unstable();
    match names.array_windows().find(|[a, b]| a == b) {
        None => Ok(()),
        Some([twin, _]) => Err(GgufError::DuplicateTensor { name: (*twin).to_owned() }),
    }
}
