use std::{collections::BTreeMap, ops::Range};

use crate::{
    GgufError, GgufValue, RawTensor, ReadAt, TensorInfo, TensorSource, WeightsError,
    gguf_header::Header,
    tensor::{mapped_tensor, read_tensor, read_tensor_range},
};

/// A GGUF file of version 2 or 3 whose header was checked; tensors are read from it when they are asked for.
///
/// Dimensions are given slowest first, though the file has them the other way round. A tensor for which the metadata
/// has `comfy.gguf.orig_shape.<name>` is given in that shape; the bytes are the same.
///
/// # Limits
///
/// A header of 16 MiB, 16,384 tensors, 32,768 metadata entries, 4 stored dimensions of at least 1, names of
/// `[A-Za-z0-9._/-]{1,256}` without a `..` segment, no key or name twice, no lists within lists, an alignment that is
/// a power of two up to 4096, and tensors that are aligned to it, end in the file and do not overlap.
#[derive(Debug)]
pub struct GgufFile<R = Box<dyn ReadAt>> {
    reader: R,
    metadata: BTreeMap<String, GgufValue>,
    tensors: Vec<TensorInfo>,
    unsupported: Vec<UnsupportedTensor>,
}

/// A tensor of a GGUF file that is quantised in a way that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedTensor {
    /// The key under which the file lists it.
    pub name: String,
    /// The kind as ggml calls it.
    pub kind: String,
    /// Its dimensions as stored, slowest first.
    pub shape: Vec<usize>,
}

impl<R: ReadAt> GgufFile<R> {
    /// Read and check the header of `reader`.
    ///
    /// # Errors
    ///
    /// A [`GgufError`] that names the rule the file breaks; never for a kind of tensor that is merely not read.
    pub fn open(reader: R) -> Result<Self, GgufError> {
        let Header { metadata, tensors, unsupported } = Header::read(&reader)?;
        Ok(Self { reader, metadata, tensors, unsupported })
    }

    /// The tensors that the file lists and that cannot be read, sorted by name.
    pub fn unsupported(&self) -> &[UnsupportedTensor] {
        &self.unsupported
    }

    /// The value of any type that the metadata holds under `key`.
    pub fn value(&self, key: &str) -> Option<&GgufValue> {
        self.metadata.get(key)
    }

    /// All of the file's metadata.
    pub fn all_metadata(&self) -> &BTreeMap<String, GgufValue> {
        &self.metadata
    }

    fn check_kind(&self, name: &str) -> Result<(), GgufError> {
        let found = self.unsupported.binary_search_by(|tensor| tensor.name.as_str().cmp(name)).ok();
        match found.and_then(|index| self.unsupported.get(index)) {
            None => Ok(()),
            Some(UnsupportedTensor { name, kind, .. }) => {
                Err(GgufError::UnsupportedType { name: name.clone(), kind: kind.clone() })
            }
        }
    }
}

impl<R: ReadAt> TensorSource for GgufFile<R> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        self.check_kind(name)?;
        read_tensor(&self.reader, &self.tensors, name)
    }

    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
        self.check_kind(name)?;
        read_tensor_range(&self.reader, &self.tensors, name, &elements)
    }

    fn mapped(&self, name: &str) -> Option<&[u8]> {
        mapped_tensor(&self.reader, self.info(name)?)
    }

    fn release(&self, name: &str) {
        if let Some(info) = self.info(name) {
            self.reader.release(info.offset, info.bytes);
        }
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            GgufValue::String(text) => Some(text),
            _ => None,
        }
    }
}
