use serde::{Deserialize, Serialize};

use crate::{Dtype, RawTensor};

/// How far the tensors of a model moved when they were stored in smaller kinds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// One entry per tensor, in the order in which they were stored.
    pub tensors: Vec<TensorError>,
}

/// How far one tensor moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorError {
    /// The tensor's name.
    pub name: String,
    /// The kind it is stored in now.
    pub dtype: Dtype,
    /// `|stored - original| / |original|` in the Euclidean norm.
    pub relative_error: f64,
}

impl ErrorReport {
    /// Note how far the tensor `name` moved from `original` to what is `stored`.
    pub fn push(&mut self, name: &str, original: &[f32], stored: &RawTensor) {
        let relative_error = relative_error(original, &stored.to_f32());
        self.tensors.push(TensorError { name: name.to_owned(), dtype: stored.dtype, relative_error });
    }

    /// The tensor that moved furthest; `None` where the report is empty.
    pub fn worst(&self) -> Option<&TensorError> {
        self.tensors.iter().max_by(|a, b| a.relative_error.total_cmp(&b.relative_error))
    }
}

/// `|stored - original| / |original|` in the Euclidean norm; 0 where nothing changed, infinite where zeros did.
///
/// Values that only one of the two has count as changed from, or to, zero.
pub fn relative_error(original: &[f32], stored: &[f32]) -> f64 {
    SquaredError::of(original, stored).relative()
}

/// What [`relative_error`] is made of, to be added up over the pieces of a tensor.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SquaredError {
    /// `|stored - original|^2`.
    pub change: f64,
    /// `|original|^2`.
    pub norm: f64,
}

impl SquaredError {
    /// Of one piece; values that only one of the two has count as changed from, or to, zero.
    pub fn of(original: &[f32], stored: &[f32]) -> Self {
        let at = |values: &[f32], index: usize| f64::from(values.get(index).copied().unwrap_or(0.0));
        let count = original.len().max(stored.len());
        let (change, norm) = (0..count).fold((0.0, 0.0), |(change, norm), index| {
            let (was, is) = (at(original, index), at(stored, index));
            (change + (is - was).powi(2), norm + was.powi(2))
        });
        Self { change, norm }
    }

    /// The sum over two pieces.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { change: self.change + other.change, norm: self.norm + other.norm }
    }

    /// The relative error of all pieces.
    pub fn relative(self) -> f64 {
        if self.change == 0.0 { 0.0 } else { (self.change / self.norm).sqrt() }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values come out exactly")]
mod tests {
    use super::*;

    #[test]
    fn relative_error_is_that_of_the_norms() {
        assert!((relative_error(&[3.0, 4.0], &[3.0, 4.5]) - 0.1).abs() < 1e-12);
        assert_eq!(relative_error(&[0.0], &[0.0]), 0.0);
        assert_eq!(relative_error(&[0.0], &[1.0]), f64::INFINITY);
        assert_eq!(relative_error(&[2.0, 0.0], &[2.0]), 0.0);
    }

    #[test]
    fn pieces_add_up_to_the_whole() {
        let (original, stored) = ([3.0, 4.0, -1.0], [3.5, 4.0, 0.0]);
        let pieces =
            SquaredError::of(&original[..1], &stored[..1]).plus(SquaredError::of(&original[1..], &stored[1..]));
        assert_eq!(pieces.relative(), relative_error(&original, &stored));
    }

    #[test]
    fn worst_is_the_tensor_that_moved_furthest() {
        let mut report = ErrorReport::default();
        let stored = |bytes: [u8; 2]| RawTensor { dtype: Dtype::F16, shape: vec![1], bytes: bytes.to_vec() };
        report.push("same", &[1.0], &stored([0, 0x3c]));
        report.push("moved", &[1.0], &stored([0, 0xc0]));
        assert_eq!(report.worst().map(|tensor| (tensor.name.as_str(), tensor.relative_error)), Some(("moved", 3.0)));
    }
}
