/// A value of a GGUF file's metadata.
///
/// Integers below 32 bits are read as 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub enum GgufValue {
    /// An unsigned integer of up to 32 bits.
    U32(u32),
    /// A signed integer of up to 32 bits.
    I32(i32),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A signed integer of 64 bits.
    I64(i64),
    /// A single.
    F32(f32),
    /// A double.
    F64(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    String(String),
    /// A list of 32-bit signed integers.
    I32Array(Vec<i32>),
    /// A list of texts.
    StringArray(Vec<String>),
    /// A list that the reader passed over: of another kind, or too long to keep.
    Skipped {
        /// How many elements it has.
        elements: u64,
    },
}

/// The numbers under which the format knows its types of values
/// (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
pub(crate) mod kind {
    pub(crate) const U8: u32 = 0;
    pub(crate) const I8: u32 = 1;
    pub(crate) const U16: u32 = 2;
    pub(crate) const I16: u32 = 3;
    pub(crate) const U32: u32 = 4;
    pub(crate) const I32: u32 = 5;
    pub(crate) const F32: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
    pub(crate) const STRING: u32 = 8;
    pub(crate) const ARRAY: u32 = 9;
    pub(crate) const U64: u32 = 10;
    pub(crate) const I64: u32 = 11;
    pub(crate) const F64: u32 = 12;
}
