use std::{collections::BTreeMap, io::BufReader};

use crate::{
    Dtype, ReadAt, SafetensorsError, TensorInfo,
    header_json::{Entry, Listing, Offsets},
    read_at::Window,
    tensor::checked_shape,
    tensor_name::{is_tensor_name, shown},
};

/// Longest header that is read, in bytes; the headers of large models take some hundred kilobytes.
pub(crate) const MAX_HEADER_LEN: u64 = 8 << 20;
/// Most tensors that one file, or one model of shards, may list.
pub(crate) const MAX_TENSORS: usize = 16_384;
/// Most dimensions of a tensor.
pub(crate) const MAX_RANK: usize = 8;
/// Most entries of the metadata.
pub(crate) const MAX_METADATA: usize = 16_384;
/// Bytes of the little-endian length in front of the header.
pub(crate) const LENGTH_BYTES: u64 = 8;
/// The header's key that holds text instead of a tensor.
pub(crate) const METADATA_KEY: &str = "__metadata__";

/// A header that was checked against the file it stands in.
#[derive(Debug)]
pub(crate) struct Header {
    /// Sorted by name.
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Header {
    /// Read the header of the file behind `reader` and check all that it claims.
    ///
    /// The rules are stricter than the format's, which lets through what later code would stumble over
    /// (<https://github.com/huggingface/safetensors#format>).
    pub(crate) fn read<R: ReadAt + ?Sized>(reader: &R) -> Result<Self, SafetensorsError> {
        let len = reader.len();
        let left = len.checked_sub(LENGTH_BYTES).ok_or(SafetensorsError::TooShort { len })?;
        let mut length = [0; LENGTH_BYTES as usize];
        reader.read_exact_at(0, &mut length).map_err(|source| SafetensorsError::ReadStart { source })?;
        let header = u64::from_le_bytes(length);
        if header > MAX_HEADER_LEN {
            return Err(SafetensorsError::HeaderLength { found: header, limit: MAX_HEADER_LEN });
        }
        let data = left.checked_sub(header).ok_or(SafetensorsError::HeaderPastEnd { header, left })?;
        if header == 0 {
            return Err(SafetensorsError::TooShort { len });
        }
        let mut first = [0];
        reader.read_exact_at(LENGTH_BYTES, &mut first).map_err(|source| SafetensorsError::ReadStart { source })?;
        if first != *b"{" {
            return Err(SafetensorsError::HeaderStart { found: first[0] });
        }
        let start = LENGTH_BYTES + header;
        // From a stream, so that a header of the greatest length is not held beside what is made of it.
        let window = BufReader::with_capacity(1 << 16, Window::new(reader, LENGTH_BYTES, start));
        let Listing { tensors, metadata } =
            serde_json::from_reader(window).map_err(|source| SafetensorsError::Header { source })?;
        let mut tensors =
            tensors.into_iter().map(|(name, entry)| entry.check(name, start)).collect::<Result<Vec<_>, _>>()?;
        check_layout(&mut tensors, start, data)?;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some([twin, _]) = tensors.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(SafetensorsError::DuplicateTensor { name: twin.name.clone() });
        }
        Ok(Self { tensors, metadata })
    }
}

/// Check that the tensors follow each other from `start` without a gap and end with the file's `data`.
fn check_layout(tensors: &mut [TensorInfo], start: u64, data: u64) -> Result<(), SafetensorsError> {
    tensors.sort_by_key(|tensor| tensor.offset);
    let mut expected = 0;
    for TensorInfo { name, offset, bytes, .. } in tensors.iter() {
        let begin = offset - start;
        if begin != expected {
            return Err(SafetensorsError::NotContiguous { name: name.clone(), begin, expected });
        }
        expected = expected.saturating_add(*bytes);
    }
    if expected == data { Ok(()) } else { Err(SafetensorsError::Coverage { tensors: expected, data }) }
}

impl Entry {
    fn check(self, name: String, start: u64) -> Result<TensorInfo, SafetensorsError> {
        let Self { dtype, shape, data_offsets: Offsets { begin, end } } = self;
        if !is_tensor_name(&name) {
            return Err(SafetensorsError::TensorName { name: shown(&name) });
        }
        let Some(dtype) = dtype_of(&dtype) else {
            return Err(SafetensorsError::Dtype { name, found: shown(&dtype) });
        };
        if shape.rank > MAX_RANK {
            return Err(SafetensorsError::Rank { name, found: shape.rank, limit: MAX_RANK });
        }
        let dims = shape.dims();
        if dims.contains(&0) {
            return Err(SafetensorsError::ZeroDimension { name });
        }
        let counted = checked_shape(dims).and_then(|(shape, elements)| Some((shape, dtype.byte_len(elements)?)));
        let Some((shape, expected)) = counted else {
            return Err(SafetensorsError::SizeOverflow { name, shape: dims.to_vec() });
        };
        match start.checked_add(begin) {
            Some(offset) if end.checked_sub(begin) == Some(expected) => {
                Ok(TensorInfo { name, dtype, shape, offset, bytes: expected })
            }
            _ => Err(SafetensorsError::Extent { name, dtype, shape, begin, end, expected }),
        }
    }
}

fn dtype_of(text: &str) -> Option<Dtype> {
    const READ: [Dtype; 12] = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::F8E4M3,
        Dtype::F8E5M2,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U8,
        Dtype::Bool,
    ];
    READ.into_iter().find(|dtype| dtype.as_str() == text)
}
