use std::{collections::BTreeMap, ops::Range};

use crate::{
    RawTensor, ReadAt, SafetensorsError, TensorInfo, TensorSource, WeightsError,
    safetensors_header::Header,
    tensor::{mapped_tensor, read_tensor, read_tensor_range},
};

/// A safetensors file whose header was checked; tensors are read from it when they are asked for.
///
/// # Limits
///
/// A header of 8 MiB that begins with `{`, 16,384 tensors, 8 dimensions of at least 1, names of
/// `[A-Za-z0-9._/-]{1,256}` without a `..` segment, no key twice, the kinds F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL,
/// and tensors that follow each other without a gap up to the file's end.
#[derive(Debug)]
pub struct SafetensorsFile<R = Box<dyn ReadAt>> {
    reader: R,
    tensors: Vec<TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl<R: ReadAt> SafetensorsFile<R> {
    /// Read and check the header of `reader`.
    ///
    /// # Errors
    ///
    /// A [`SafetensorsError`] that names the rule the file breaks.
    pub fn open(reader: R) -> Result<Self, SafetensorsError> {
        let Header { tensors, metadata } = Header::read(&reader)?;
        Ok(Self { reader, tensors, metadata })
    }

    /// All of the file's `__metadata__`.
    pub fn all_metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

impl<R: ReadAt> TensorSource for SafetensorsFile<R> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        read_tensor(&self.reader, &self.tensors, name)
    }

    fn read_range(&self, name: &str, elements: Range<u64>) -> Result<Vec<u8>, WeightsError> {
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
        self.metadata.get(key).map(String::as_str)
    }
}
