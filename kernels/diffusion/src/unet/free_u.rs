//! `FreeU`: louder features from below, and skips with less of their lowest frequencies (Si et al., 2023).

use crate::nn::along_axes;
use burn::tensor::Tensor;
use serde::Deserialize;
use std::f64::consts::TAU;

/// The factors of the two innermost up blocks; all of 1 leave the network as it is.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct FreeU {
    /// Of half of the first block's features.
    pub b1: f64,
    /// Of half of the second's.
    pub b2: f64,
    /// Of the lowest frequencies of the first block's skips.
    pub s1: f64,
    /// Of those of the second's.
    pub s2: f64,
}

impl FreeU {
    /// What up block `index` does, counted from the inside out.
    pub(super) const fn stage(self, index: usize) -> Option<Stage> {
        match index {
            0 => Some(Stage { backbone: self.b1, skip: self.s1 }),
            1 => Some(Stage { backbone: self.b2, skip: self.s2 }),
            _ => None,
        }
    }
}

/// The factors of one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    backbone: f64,
    skip: f64,
}

impl Stage {
    /// # Shapes
    ///
    /// - hidden, skip and both outputs: `[batch, channels, height, width]`
    pub(super) fn apply(self, hidden: Tensor<4>, skip: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [_, channels, ..] = hidden.dims();
        let half = channels / 2;
        let louder = hidden.clone().narrow(1, 0, half) * self.backbone;
        let rest = hidden.narrow(1, half, channels - half);
        (Tensor::cat(vec![louder, rest], 1), filtered(skip, self.skip))
    }
}

/// Scales the frequencies 0 and -1 of both axes, as the reference's window of two around the middle of the spectrum does, and
/// keeps what is real of the result.
fn filtered(skip: Tensor<4>, scale: f64) -> Tensor<4> {
    let [_, _, height, width] = skip.dims();
    // The window is no pair of conjugates, so the real part takes both the cosines and the sines.
    let real = |size: usize| move |to: usize, from: usize| real(size, to, from);
    let imaginary = |size: usize| move |to: usize, from: usize| imaginary(size, to, from);
    let low = along_axes(skip.clone(), real(height), real(width))
        - along_axes(skip.clone(), imaginary(height), imaginary(width));
    skip + low * (scale - 1.0)
}

fn real(size: usize, to: usize, from: usize) -> f64 {
    // An axis of one has the frequency 0 alone.
    if size == 1 { 1.0 } else { (1.0 + angle(size, to, from).cos()) / size as f64 }
}

fn imaginary(size: usize, to: usize, from: usize) -> f64 {
    if size == 1 { 0.0 } else { -angle(size, to, from).sin() / size as f64 }
}

fn angle(size: usize, to: usize, from: usize) -> f64 {
    TAU * (to as f64 - from as f64) / size as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn filled(value: impl Fn(usize, usize) -> f64, height: usize, width: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..height * width).map(|at| value(at / width, at % width) as f32).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, height, width]), &Device::flex())
    }

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_constant_is_scaled_and_what_is_fast_is_left() {
        for (height, width) in [(1, 1), (1, 5), (6, 1), (5, 7), (8, 16)] {
            let constant = values(filtered(filled(|_, _| 3.0, height, width), 0.25));
            assert!(constant.iter().all(|value| (value - 0.75).abs() < 1e-5), "{height} x {width}: {constant:?}");
        }
        let fast = |_, x| (TAU * 3.0 * x as f64 / 16.0).cos();
        let left = values(filtered(filled(fast, 8, 16), 0.0));
        for (found, expected) in left.iter().zip(values(filled(fast, 8, 16))) {
            assert!((found - expected).abs() < 1e-5);
        }
    }
}
