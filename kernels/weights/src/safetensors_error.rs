use std::io;

use crate::Dtype;

/// Why a safetensors file is refused.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// The file is too short for the length of its header.
    #[error("the file has {len} bytes, too few for a header; it is empty or its download broke off")]
    TooShort {
        /// How many bytes it has.
        len: u64,
    },
    /// The first bytes could not be read.
    #[error("cannot read the start of the header")]
    ReadStart {
        /// What the platform said.
        source: io::Error,
    },
    /// The header is longer than is accepted.
    #[error("the header claims {found} bytes where {limit} are allowed")]
    HeaderLength {
        /// The claimed length.
        found: u64,
        /// The longest that is accepted.
        limit: u64,
    },
    /// The header is longer than what the file holds.
    #[error("the header claims {header} bytes, but only {left} follow; the download broke off or the file is damaged")]
    HeaderPastEnd {
        /// The claimed length.
        header: u64,
        /// How many bytes follow the claim.
        left: u64,
    },
    /// The header does not begin as a JSON object.
    #[error("the header begins with byte {found:#04x} instead of an opening brace")]
    HeaderStart {
        /// The byte that is there.
        found: u8,
    },
    /// The header is not the JSON of a safetensors header.
    #[error("the header is not a valid description of tensors")]
    Header {
        /// What is wrong, with line and column in the header.
        source: serde_json::Error,
    },
    /// A tensor has a name that is not accepted.
    #[error(
        "tensor name \"{name}\" is not made of 1 to 256 of A-Z a-z 0-9 . _ / - without a .. segment; rename the tensor"
    )]
    TensorName {
        /// The name, escaped and cut.
        name: String,
    },
    /// Two tensors share a name.
    #[error("tensor {name} is listed twice")]
    DuplicateTensor {
        /// The shared name.
        name: String,
    },
    /// A tensor is stored in a way that is not read.
    #[error("tensor {name} is stored as {found}, which is not read; save it as F32, F16 or BF16")]
    Dtype {
        /// The tensor's name.
        name: String,
        /// The kind in the header, escaped and cut.
        found: String,
    },
    /// A tensor has too many dimensions.
    #[error("tensor {name} has {found} dimensions where {limit} are allowed")]
    Rank {
        /// The tensor's name.
        name: String,
        /// How many it has.
        found: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// A tensor has a dimension of length zero.
    #[error("tensor {name} has a dimension of length 0")]
    ZeroDimension {
        /// The tensor's name.
        name: String,
    },
    /// A tensor's size cannot be counted.
    #[error("the shape {shape:?} of tensor {name} is too large to count its bytes")]
    SizeOverflow {
        /// The tensor's name.
        name: String,
        /// The dimensions in the header.
        shape: Vec<u64>,
    },
    /// A tensor's offsets enclose another number of bytes than its shape takes.
    #[error("tensor {name} has offsets {begin}..{end}, but {dtype} in shape {shape:?} takes {expected} bytes")]
    Extent {
        /// The tensor's name.
        name: String,
        /// The tensor's kind.
        dtype: Dtype,
        /// The tensor's dimensions.
        shape: Vec<usize>,
        /// The first offset.
        begin: u64,
        /// The offset behind the last byte.
        end: u64,
        /// How many bytes the shape takes.
        expected: u64,
    },
    /// A tensor does not begin where the one before it ends.
    #[error(
        "tensor {name} begins at byte {begin} of the data where {expected} was due; tensors must \
         follow without gap or overlap"
    )]
    NotContiguous {
        /// The tensor's name.
        name: String,
        /// Where it begins.
        begin: u64,
        /// Where the one before it ends.
        expected: u64,
    },
    /// The tensors end elsewhere than the file does.
    #[error(
        "the tensors take {tensors} bytes, but {data} follow the header; the download broke off or the file is \
         damaged"
    )]
    Coverage {
        /// How many bytes the tensors take together.
        tensors: u64,
        /// How many bytes follow the header.
        data: u64,
    },
}
