//! Training on the CPU backend: convolutions, linear layers, norms and GEGLU whose gradients are written by hand.
//!
//! The framework takes a norm apart into a dozen single-threaded passes over memory and computes a convolution's weight
//! gradient as a convolution with a kernel as large as the picture. Each operation here is one pass, or one matrix product
//! over columns that stay in the cache, and keeps nothing for its gradient but its inputs. Other devices and inference do
//! not come here: [`handles`] says when a layer does.

#![expect(clippy::inline_always, reason = "only what is inlined into `lanes::vectorised` is compiled for wide vectors")]

mod autodiff;
mod columns;
mod conv2d;
mod flex;
mod geglu;
mod group_norm;
mod lanes;
mod layer_norm;
mod linear;
mod matrix;
#[cfg(test)]
mod tests;

pub use conv2d::ConvShape;
pub use group_norm::GroupNormShape;

use burn::{
    backend::{Backend, Dispatch, DispatchDevice, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};

/// What is computed from an input, a weight and a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layer {
    /// See [`super::Conv2d`].
    Conv2d(ConvShape),
    /// See [`super::GroupNorm`]; followed by `SiLU` if asked.
    GroupNorm(GroupNormShape),
    /// See [`super::LayerNorm`].
    LayerNorm {
        /// Keeps the division sound.
        epsilon: f32,
    },
    /// See [`super::Linear`].
    Linear,
}

/// What the CPU backend computes in training, and the gradients that the autodiff decorator asks it for.
///
/// Tensors are f32.
#[backend_extension(Flex, Autodiff)]
pub trait TrainingOps: Backend {
    /// A layer's output.
    fn train_layer(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        layer: Layer,
    ) -> FloatTensor<Self>;
    /// Gradients of a layer's input, weight and bias.
    fn train_layer_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        layer: Layer,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// The first half of the last axis times the GELU of the second.
    fn train_geglu(input: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of the input.
    fn train_geglu_backward(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Whether a layer with this weight is trained on the CPU backend right now.
pub fn handles<const D: usize>(weight: &Tensor<D>) -> bool {
    weight.is_require_grad()
        && weight.device().is_autodiff()
        && matches!(weight.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

fn layer<const I: usize, const W: usize, const O: usize>(
    input: Tensor<I>,
    weight: Tensor<W>,
    bias: Tensor<1>,
    layer: Layer,
) -> Tensor<O> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainingOps>::train_layer(input, weight, bias, layer))
}

/// A convolution with a bias; shapes as in [`super::Conv2d`].
pub fn conv2d(input: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: usize) -> Tensor<4> {
    let ([batch, channels, height, width], [output, _, kernel, _]) = (input.dims(), weight.dims());
    let shape = ConvShape { batch, input: channels, output, height, width, kernel, stride, padding };
    layer(input, weight, bias, Layer::Conv2d(shape))
}

/// A group norm; shapes as in [`super::GroupNorm`].
pub fn group_norm(
    input: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> Tensor<4> {
    let [_, channels, height, width] = input.dims();
    let shape = GroupNormShape { channels, area: height * width, groups, epsilon: epsilon as f32, silu };
    layer(input, weight, bias, Layer::GroupNorm(shape))
}

/// A layer norm; shapes as in [`super::LayerNorm`].
pub fn layer_norm(input: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<3> {
    layer(input, weight, bias, Layer::LayerNorm { epsilon: epsilon as f32 })
}

/// A linear layer; shapes as in [`super::Linear::forward_rows`].
pub fn linear(input: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    layer(input, weight, bias, Layer::Linear)
}

/// Gated GELU (Shazeer, 2020).
///
/// # Shapes
///
/// - input: `[batch, tokens, 2 width]`
/// - output: `[batch, tokens, width]`
pub fn geglu(input: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as TrainingOps>::train_geglu(input.into_dispatch()))
}
