use std::ops::Range;

use crate::{Dtype, ReadAt, WeightsError, dequantise, tensor_name::shown};

/// Where one tensor lies in its file and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The key under which the file lists it.
    pub name: String,
    /// How its elements are stored.
    pub dtype: Dtype,
    /// Its dimensions in row-major order, slowest first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its first byte, counted from the start of the file.
    pub offset: u64,
    /// How many bytes it takes.
    pub bytes: u64,
}

impl TensorInfo {
    /// How many elements the tensor has.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&dim| dim as u64).product()
    }
}

/// A tensor as the file stores it: little-endian, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    /// How the elements are stored.
    pub dtype: Dtype,
    /// The dimensions in row-major order, slowest first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

impl RawTensor {
    /// The elements in single precision, whatever they are stored in.
    ///
    /// Doubles and 64-bit integers are rounded, `Bool` becomes 0 or 1, quantised blocks are unpacked.
    pub fn to_f32(&self) -> Vec<f32> {
        dequantise(self.dtype, &self.bytes)
    }
}

/// A file, or several behind an index, from which tensors are read by name.
pub trait TensorSource {
    /// All tensors, sorted by name.
    fn tensors(&self) -> &[TensorInfo];

    /// Read the tensor `name` as it is stored.
    ///
    /// # Errors
    ///
    /// [`WeightsError::UnknownTensor`] where there is none of that name, [`WeightsError::ReadTensor`] and
    /// [`WeightsError::TensorMemory`] where it cannot be brought in; a GGUF file also answers
    /// [`crate::GgufError::UnsupportedType`].
    fn read(&self, name: &str) -> Result<RawTensor, WeightsError>;

    /// Read some `elements` of the tensor `name`, counted in row-major order, as they are stored: a tensor that is larger
    /// than memory can be read piece by piece.
    ///
    /// A source that has nothing better reads the whole tensor.
    ///
    /// # Errors
    ///
    /// As [`Self::read`]; [`WeightsError::Elements`] for elements that the tensor has not, or that begin or end within a
    /// block.
    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        let mut raw = self.read(name)?;
        let count = raw.shape.iter().map(|&dim| dim as u64).product();
        let bytes = byte_range(name, raw.dtype, count, &elements)?;
        raw.bytes.truncate(bytes.end as usize);
        Ok(raw.bytes.split_off(bytes.start as usize))
    }

    /// Which of its values a tensor has: 0 for those of its file, another number for each thing that ever changed them.
    fn version(&self, name: &str) -> u64 {
        let _ = name;
        0
    }

    /// The bytes of the tensor `name` as they are stored, where they are memory already; `None` where they have to be
    /// [read](Self::read), which also says why a tensor is not there.
    fn mapped(&self, name: &str) -> Option<&[u8]> {
        let _ = name;
        None
    }

    /// Says that the bytes of the tensor `name` are not needed for now; see [`ReadAt::release`].
    fn release(&self, name: &str) {
        let _ = name;
    }

    /// The text that the file's metadata holds under `key`: `__metadata__` of safetensors, a string value of GGUF.
    fn metadata(&self, key: &str) -> Option<&str>;

    /// What and where the tensor `name` is.
    fn info(&self, name: &str) -> Option<&TensorInfo> {
        find(self.tensors(), name)
    }
}

impl<S: TensorSource + ?Sized> TensorSource for Box<S> {
    fn tensors(&self) -> &[TensorInfo] {
        (**self).tensors()
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        (**self).read(name)
    }

    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        (**self).read_range(name, elements)
    }

    fn version(&self, name: &str) -> u64 {
        (**self).version(name)
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        (**self).mapped(name)
    }

    fn release(&self, name: &str) {
        (**self).release(name);
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        (**self).metadata(key)
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        (**self).info(name)
    }
}

/// The tensor `name` in a list sorted by name.
pub(crate) fn find<'a>(tensors: &'a [TensorInfo], name: &str) -> Option<&'a TensorInfo> {
    let index = tensors.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok()?;
    tensors.get(index)
}

/// Read the tensor `name` of a sorted list from the file that the list describes.
pub(crate) fn read_tensor<R: ReadAt + ?Sized>(
    reader: &R,
    tensors: &[TensorInfo],
    name: &str,
) -> Result<RawTensor, WeightsError> {
    let TensorInfo { name, dtype, shape, offset, bytes } = known(tensors, name)?;
    let bytes = read_bytes(reader, name, *offset, *bytes)?;
    Ok(RawTensor { dtype: *dtype, shape: shape.clone(), bytes })
}

/// Read some elements of the tensor `name` of a sorted list from the file that the list describes.
pub(crate) fn read_tensor_range<R: ReadAt + ?Sized>(
    reader: &R,
    tensors: &[TensorInfo],
    name: &str,
    elements: &Range<u64>,
) -> Result<Vec<u8>, WeightsError> {
    let info = known(tensors, name)?;
    let bytes = byte_range(name, info.dtype, info.elements(), elements)?;
    let (offset, len) = (info.offset + bytes.start, bytes.end - bytes.start);
    let read = read_bytes(reader, &info.name, offset, len);
    // Who reads piece by piece has no memory for the whole, and goes on behind what was read.
    if len >= RELEASED {
        reader.release(offset, len);
    }
    read
}

/// Pieces from this size on are given back once they are read; smaller ones share their pages with others.
const RELEASED: u64 = 64 << 10;

fn known<'a>(tensors: &'a [TensorInfo], name: &str) -> Result<&'a TensorInfo, WeightsError> {
    find(tensors, name).ok_or_else(|| WeightsError::UnknownTensor { name: shown(name) })
}

/// Where some of a tensor's `count` elements lie within its bytes.
pub(crate) fn byte_range(
    name: &str,
    dtype: Dtype,
    count: u64,
    elements: &Range<u64>,
) -> Result<Range<u64>, WeightsError> {
    let inside = elements.start <= elements.end && elements.end <= count;
    let bytes = |elements| if inside { dtype.byte_len(elements) } else { None };
    let refused = || WeightsError::Elements { name: shown(name), first: elements.start, end: elements.end, count };
    Ok(bytes(elements.start).ok_or_else(refused)?..bytes(elements.end).ok_or_else(refused)?)
}

fn read_bytes<R: ReadAt + ?Sized>(reader: &R, name: &str, offset: u64, len: u64) -> Result<Vec<u8>, WeightsError> {
    let no_memory = || WeightsError::TensorMemory { name: name.to_owned(), bytes: len };
    let len = usize::try_from(len).map_err(|_| no_memory())?;
    // A page's memory ends long before its disk does, and an allocation that fails there takes the worker with it.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| no_memory())?;
    bytes.resize(len, 0);
    let read = reader.read_exact_at(offset, &mut bytes);
    read.map_err(|source| WeightsError::ReadTensor { name: name.to_owned(), offset, source })?;
    reader.release(offset, len as u64);
    Ok(bytes)
}

/// The bytes of a tensor in a file that is memory already.
pub(crate) fn mapped_tensor<'a, R: ReadAt + ?Sized>(reader: &'a R, info: &TensorInfo) -> Option<&'a [u8]> {
    let (start, len) = (usize::try_from(info.offset).ok()?, usize::try_from(info.bytes).ok()?);
    reader.mapped()?.get(start..start.checked_add(len)?)
}

/// The dimensions as indices and their product.
///
/// `None` where a dimension does not fit this platform or the product does not fit in 63 bits.
pub(crate) fn checked_shape(dims: &[u64]) -> Option<(Vec<usize>, u64)> {
    let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))?;
    i64::try_from(elements).ok()?;
    let shape = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    Some((shape, elements))
}
