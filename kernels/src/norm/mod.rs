//! Group and layer norm in one launch: a workgroup holds a row's statistics, and scale, shift and `SiLU` follow at once.
//!
//! The mean comes first and the squares of what is left after it second, all in f32: values far from zero lose nothing by that. The
//! row is read three times, from caches after the first.

mod kernel;
pub mod reference;
#[cfg(test)]
pub(crate) mod tests;

use burn::{
    backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

/// How rows lie in a tensor, and what follows the norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Values that share their statistics, one after another.
    pub length: usize,
    /// Rows after which γ and β begin anew.
    pub groups: usize,
    /// Values that share one γ and one β, one after another.
    pub area: usize,
    /// Keeps the division sound.
    pub epsilon: f32,
    /// Whether `SiLU` follows.
    pub silu: bool,
}

/// Norms that a CubeCL device and the CPU have.
#[backend_extension(Cube, Flex)]
pub trait NormOps: Backend {
    /// Rows of `input` in a row's own mean and variance, times γ, plus β.
    fn norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        norm: Norm,
    ) -> FloatTensor<Self>;
}

/// Group norm (Wu and He, 2018) on a device that [`handles`](super::handles) names.
///
/// # Shapes
///
/// - input, output: `[batch, channels, height, width]`
/// - weight, bias: `[channels]`
pub fn group_norm(
    input: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    epsilon: f32,
    silu: bool,
) -> Tensor<4> {
    let [_, channels, height, width] = input.dims();
    let area = height * width;
    run(input, weight, bias, Norm { length: channels / groups * area, groups, area, epsilon, silu })
}

/// Layer norm (Ba et al., 2016) over the last axis, on a device that [`handles`](super::handles) names.
///
/// # Shapes
///
/// - input, output: `[batch, tokens, width]`
/// - weight, bias: `[width]`
pub fn layer_norm(input: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f32) -> Tensor<3> {
    let [_, _, width] = input.dims();
    run(input, weight, bias, Norm { length: width, groups: 1, area: 1, epsilon, silu: false })
}

fn run<const D: usize>(input: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, norm: Norm) -> Tensor<D> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::norm(input, weight, bias, norm))
}

impl NormOps for CubeBackend {
    fn norm(input: CubeTensor, weight: CubeTensor, bias: CubeTensor, norm: Norm) -> CubeTensor {
        kernel::launch([input, weight, bias].map(into_contiguous), norm)
    }
}
