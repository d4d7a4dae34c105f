use crate::Dtype;

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTensor {
    /// The key under which the file will list it.
    pub name: String,
    /// How its elements will be stored.
    pub dtype: Dtype,
    /// Its dimensions in row-major order, slowest first.
    pub shape: Vec<usize>,
}
