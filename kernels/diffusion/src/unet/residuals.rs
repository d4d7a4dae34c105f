//! What other networks add to a denoiser.

use burn::tensor::Tensor;

/// Addends to what the down blocks hand to the up blocks, and to what leaves the middle (Zhang et al., 2023).
#[derive(Debug, Clone)]
pub struct Residuals {
    /// One for each skip, from the outside in; a side of 1 is spread over all pixels.
    pub down: Vec<Tensor<4>>,
    /// For the middle.
    pub mid: Tensor<4>,
}

impl Residuals {
    /// The same from two networks at once.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let down = self.down.into_iter().zip(other.down).map(|(one, other)| one + other).collect();
        Self { down, mid: self.mid + other.mid }
    }

    /// Nothing for the unconditional half of a batch, these for the conditional one.
    ///
    /// # Shapes
    ///
    /// - output: `[2 batch, …]` of `[batch, …]`
    #[must_use]
    pub fn behind_zeros(self) -> Self {
        let behind = |residual: Tensor<4>| Tensor::cat(vec![residual.zeros_like(), residual], 0);
        Self { down: self.down.into_iter().map(behind).collect(), mid: behind(self.mid) }
    }

    /// Adds what belongs to the skips.
    pub(super) fn add_to_skips(&self, skips: &mut [Tensor<4>]) {
        for (skip, residual) in skips.iter_mut().zip(&self.down) {
            *skip = skip.clone() + residual.clone();
        }
    }
}
