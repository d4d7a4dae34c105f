use crate::{
    GgufFile, ReadAt, SafetensorsFile, TensorSource, WeightsError, gguf_header::MAGIC, safetensors_header::LENGTH_BYTES,
};

/// The container of a weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A JSON header and plain tensors (<https://github.com/huggingface/safetensors>).
    Safetensors,
    /// A binary header and tensors that may be quantised (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
    Gguf,
}

impl Format {
    /// The name for messages, which is also the usual file extension.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
        }
    }
}

/// Tell the container of a file by its first bytes.
///
/// # Errors
///
/// [`WeightsError::Pickle`] for checkpoints that run code when they are read, [`WeightsError::UnknownFormat`] for all
/// else that is not read, [`WeightsError::Sniff`] where the bytes do not come.
pub fn sniff<R: ReadAt + ?Sized>(reader: &R) -> Result<Format, WeightsError> {
    let len = reader.len();
    let mut start = [0; LENGTH_BYTES as usize + 1];
    let start = &mut start[..len.min(LENGTH_BYTES + 1) as usize];
    reader.read_exact_at(0, start).map_err(|source| WeightsError::Sniff { source })?;
    if start.starts_with(&MAGIC) {
        return Ok(Format::Gguf);
    }
    if let [length @ .., b'{'] = start
        && let Ok(length) = length.try_into().map(u64::from_le_bytes)
    {
        // Only a length that fits tells safetensors from a pickle, which can begin with any length's low bytes.
        let fits = length <= len - LENGTH_BYTES;
        return if fits || !is_pickle(start) { Ok(Format::Safetensors) } else { Err(WeightsError::Pickle) };
    }
    if is_pickle(start) {
        return Err(WeightsError::Pickle);
    }
    Err(WeightsError::UnknownFormat { start: format!("{start:02x?}"), len })
}

/// A zip archive as `torch.save` makes it, or a bare pickle of protocol 2 to 5 as its predecessor did.
fn is_pickle(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || matches!(start, [0x80, 2..=5, ..])
}

/// Open a weight file of either container.
///
/// # Errors
///
/// As [`sniff`], and [`WeightsError::Safetensors`] or [`WeightsError::Gguf`] where the header is refused.
pub fn open(reader: Box<dyn ReadAt>) -> Result<Box<dyn TensorSource>, WeightsError> {
    Ok(match sniff(&reader)? {
        Format::Safetensors => Box::new(SafetensorsFile::open(reader)?),
        Format::Gguf => Box::new(GgufFile::open(reader)?),
    })
}

/// Open the weight file at `path`, or all shards beside it where it is a `.json` index.
///
/// # Errors
///
/// [`WeightsError::Open`] where there is no such file, else as [`open`]; [`WeightsError::Shards`] for an index.
#[cfg(not(target_arch = "wasm32"))]
pub fn open_path(path: &std::path::Path) -> Result<Box<dyn TensorSource>, WeightsError> {
    use crate::{MappedFile, ShardedSafetensors};

    let reader =
        MappedFile::open(path).map_err(|source| WeightsError::Open { path: path.display().to_string(), source })?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let shards = ShardedSafetensors::open(&reader, |file| MappedFile::open(path.with_file_name(file)))?;
        return Ok(Box::new(shards));
    }
    open(Box::new(reader))
}
