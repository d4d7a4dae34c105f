//! Weight files: read with suspicion, written in the layouts that other tools read, hashed range by range.
//!
//! Two containers are read, safetensors (one file or shards behind an index) and GGUF, both through [`TensorSource`].
//! The reader under them is the synchronous [`ReadAt`], because in a page the files lie in the origin's private file
//! system behind handles that read synchronously in a worker; natively it is a file that is mapped into memory, in tests a
//! byte slice. Only a file's header is held in memory, a tensor is read when it is asked for, and nothing is allocated for a
//! length that the file claims before that length was checked against what the file holds.
//!
//! # Refused on purpose
//!
//! - Pickled checkpoints (`.ckpt`, `.pt`, `.bin`): to read one is to run a program that its author wrote.
//! - Files that are legal but strange (gaps between tensors, zero dimensions, names outside `[A-Za-z0-9._/-]`): every
//!   parser that meets them later would have to be right about them too.

mod dtype;
mod error_report;
#[cfg(not(target_arch = "wasm32"))]
mod file_reader;
mod float8;
mod format;
mod gguf;
mod gguf_cursor;
mod gguf_error;
mod gguf_header;
mod gguf_metadata;
mod gguf_type;
mod gguf_value;
mod gguf_writer;
mod header_json;
pub mod lora;
mod manifest;
#[cfg(not(target_arch = "wasm32"))]
mod mapped_file;
mod new_tensor;
mod quantisation;
mod quantise;
mod quantised_blocks;
mod read_at;
mod safetensors;
mod safetensors_error;
mod safetensors_header;
mod safetensors_writer;
mod search;
mod sharded;
mod tensor;
mod tensor_name;
mod unpack;
mod view;
mod weights_error;

pub use dtype::Dtype;
pub use error_report::{ErrorReport, SquaredError, TensorError, relative_error};
#[cfg(not(target_arch = "wasm32"))]
pub use file_reader::FileReader;
#[cfg(not(target_arch = "wasm32"))]
pub use format::open_path;
pub use format::{Format, open, sniff};
pub use gguf::{GgufFile, UnsupportedTensor};
pub use gguf_error::GgufError;
pub use gguf_value::GgufValue;
pub use gguf_writer::{GgufWriteError, GgufWriter};
pub use manifest::{DEFAULT_RANGE_SIZE, Manifest, ManifestError, sha256_hex};
#[cfg(not(target_arch = "wasm32"))]
pub use mapped_file::MappedFile;
pub use new_tensor::NewTensor;
pub use quantisation::{Choice, Quantisation, Reason};
pub use quantise::{QuantiseError, dequantise, dequantise_into, quantise};
pub use read_at::ReadAt;
pub use safetensors::SafetensorsFile;
pub use safetensors_error::SafetensorsError;
pub use safetensors_writer::{
    SafetensorsWriteError, SafetensorsWriter, TensorView, stream_safetensors, write_safetensors,
};
pub use sharded::{ShardError, ShardedSafetensors};
pub use tensor::{RawTensor, TensorInfo, TensorSource};
pub use view::{Origin, View, ViewEntry};
pub use weights_error::WeightsError;
