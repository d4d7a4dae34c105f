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

use burn::{
    backend::{Backend, Dispatch, DispatchDevice, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};

/// What the CPU backend computes in training, and the gradients that the autodiff decorator asks it for.
///
/// Tensors are f32. Gradients come in the order of the inputs that they belong to.
#[backend_extension(Flex, Autodiff)]
pub trait TrainingOps: Backend {
    /// See [`super::Conv2d`].
    fn train_conv2d(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shape: ConvShape,
    ) -> FloatTensor<Self>;
    /// Gradients of input, weight and bias.
    fn train_conv2d_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        shape: ConvShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// See [`super::GroupNorm`]; followed by `SiLU` if asked.
    fn train_group_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FloatTensor<Self>;
    /// Gradients of input, weight and bias.
    fn train_group_norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// See [`super::LayerNorm`].
    fn train_layer_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    /// Gradients of input, weight and bias.
    fn train_layer_norm_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// See [`super::Linear`].
    fn train_linear(input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of input, weight and bias.
    fn train_linear_backward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
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

/// A convolution with a bias; shapes as in [`super::Conv2d`].
pub fn conv2d(input: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, stride: usize, padding: usize) -> Tensor<4> {
    let ([batch, channels, height, width], [output, _, kernel, _]) = (input.dims(), weight.dims());
    let shape = ConvShape { batch, input: channels, output, height, width, kernel, stride, padding };
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainingOps>::train_conv2d(input, weight, bias, shape))
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
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let epsilon = epsilon as f32;
    Tensor::from_dispatch(<Dispatch as TrainingOps>::train_group_norm(input, weight, bias, groups, epsilon, silu))
}

/// A layer norm; shapes as in [`super::LayerNorm`].
pub fn layer_norm(input: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainingOps>::train_layer_norm(input, weight, bias, epsilon as f32))
}

/// A linear layer; shapes as in [`super::Linear::forward_rows`].
pub fn linear(input: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainingOps>::train_linear(input, weight, bias))
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
