use std::{io, str::Utf8Error};

use crate::Dtype;

/// Why a GGUF file, or one tensor of it, is refused.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file does not begin as GGUF.
    #[error("the file begins with the bytes {found:02x?} instead of \"GGUF\"")]
    Magic {
        /// The bytes that are there.
        found: [u8; 4],
    },
    /// The version of the format is not read.
    #[error("GGUF version {found} is not read, only 2 and 3 in little-endian order; convert the model again")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The header could not be read.
    #[error("cannot read {what} at byte {at}")]
    Read {
        /// What was being read.
        what: &'static str,
        /// Where it begins.
        at: u64,
        /// What the platform said.
        source: io::Error,
    },
    /// The header claims more than is left of it.
    #[error(
        "{what} at byte {at} takes at least {needed} bytes, but {left} are left; the file is damaged or its download \
         broke off"
    )]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it begins.
        at: u64,
        /// How many bytes it takes at least.
        needed: u64,
        /// How many bytes are left of the file, or of the longest header that is accepted.
        left: u64,
    },
    /// The header claims more of something than is accepted.
    #[error("the header claims {found} {what} where {limit} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are claimed.
        found: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// A text of the header is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8 text")]
    Text {
        /// What was being read.
        what: &'static str,
        /// Where it begins.
        at: u64,
        /// Where the text goes wrong.
        source: Utf8Error,
    },
    /// A key of the metadata has no characters.
    #[error("the metadata key at byte {at} is empty")]
    EmptyKey {
        /// Where it begins.
        at: u64,
    },
    /// Two values of the metadata share a key.
    #[error("the metadata key \"{key}\" is there twice")]
    DuplicateKey {
        /// The shared key, escaped and cut.
        key: String,
    },
    /// A value of the metadata is of a type that the format does not have.
    #[error("the metadata value at byte {at} has the unknown type {found}")]
    ValueType {
        /// Where the type stands.
        at: u64,
        /// The type's number.
        found: u32,
    },
    /// A list of the metadata holds lists.
    #[error("the metadata list at byte {at} holds lists, which is not read")]
    NestedArray {
        /// Where the type stands.
        at: u64,
    },
    /// A truth value of the metadata is neither 0 nor 1.
    #[error("the truth value at byte {at} is {found} instead of 0 or 1")]
    Bool {
        /// Where it stands.
        at: u64,
        /// The byte that is there.
        found: u8,
    },
    /// The alignment is not a number that tensors can be aligned to.
    #[error("general.alignment is {found}, but must be a 32-bit power of two from 1 to 4096")]
    Alignment {
        /// What is there.
        found: String,
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
    /// A tensor has too many dimensions.
    #[error("tensor {name} has {found} dimensions where 4 are allowed")]
    Rank {
        /// The tensor's name.
        name: String,
        /// How many it has.
        found: u32,
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
        /// The dimensions, slowest first.
        shape: Vec<u64>,
    },
    /// The rows of a quantised tensor do not fill whole blocks.
    #[error("tensor {name} has rows of {row}, which do not fill the blocks of {dtype}")]
    Row {
        /// The tensor's name.
        name: String,
        /// The tensor's kind.
        dtype: Dtype,
        /// The length of its rows.
        row: u64,
    },
    /// A tensor does not begin at a multiple of the alignment.
    #[error("tensor {name} begins at byte {offset} of the data, which is no multiple of {alignment}")]
    Misaligned {
        /// The tensor's name.
        name: String,
        /// Where it begins.
        offset: u64,
        /// What offsets must be a multiple of.
        alignment: u64,
    },
    /// A tensor reaches behind the end of the file.
    #[error(
        "tensor {name} begins at byte {offset} of the data and takes {bytes}, but the data has {data}; the \
         download broke off or the file is damaged"
    )]
    OutOfFile {
        /// The tensor's name.
        name: String,
        /// Where it begins.
        offset: u64,
        /// How many bytes it takes.
        bytes: u64,
        /// How many bytes of data the file has.
        data: u64,
    },
    /// Two tensors share bytes.
    #[error("the tensors {first} and {second} overlap")]
    Overlap {
        /// The name of the one that begins first.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// The shape that `comfy.gguf.orig_shape` gives a tensor does not fit it.
    #[error(
        "comfy.gguf.orig_shape gives tensor {name} the shape {original}, which does not hold its {elements} elements"
    )]
    OriginalShape {
        /// The tensor's name.
        name: String,
        /// What is there.
        original: String,
        /// How many elements the tensor has.
        elements: u64,
    },
    /// A tensor is quantised in a way that is not read.
    #[error("tensor {name} is stored as {kind}, which is not read; use a model in Q8_0, Q4_0, F16, BF16 or F32")]
    UnsupportedType {
        /// The tensor's name.
        name: String,
        /// The kind as ggml calls it.
        kind: String,
    },
}
