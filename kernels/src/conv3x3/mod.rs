//! 3 x 3 convolution as an implicit matrix product: rows are output channels, columns pixels, and nothing is unfolded in memory.
//!
//! A thread holds a tile of [`Tile::PIXELS`] neighbouring pixels by [`Tile::CHANNELS`] channels in registers. For each input channel and each row of the
//! kernel it reads the pixels under the tile once and uses them for all three columns; weights are read four channels at a time,
//! the same ones by the whole workgroup. There is no workgroup memory and no barrier: caches serve the pixels that neighbours
//! share, and a software adapter, for which a barrier is the dearest thing there is, is not punished.
//!
//! In the epilogue: bias, a residual, an activation. In the prologue: nearest upsampling by two, so that the enlarged input is never
//! written. Products and sums are f32.

mod kernel;
pub mod reference;
#[cfg(test)]
mod tests;

use burn::{
    backend::{Backend, Dispatch, TensorMetadata as _, backend_extension, tensor::FloatTensor},
    tensor::{Shape, Tensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

/// What is done beside the convolution itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Conv3x3 {
    /// Whether every second pixel is left out in both directions.
    pub halve: bool,
    /// Whether the input is doubled first in both directions, each pixel four times (nearest neighbour).
    pub double: bool,
    /// What the sum goes through at the end.
    pub activation: Option<Activation>,
}

/// What a sum can go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x σ(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

impl Conv3x3 {
    /// Height or width of the output for one of the input, with a frame of one zero around the input.
    pub const fn output_side(self, side: usize) -> usize {
        let side = if self.double { 2 * side } else { side };
        if self.halve { side.div_ceil(2) } else { side }
    }
}

/// How much of the output a thread computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile;

impl Tile {
    /// Pixels in a row.
    const PIXELS: usize = 8;
    /// Channels, in vectors of four.
    const VECTORS: usize = 2;
    /// Channels.
    const CHANNELS: usize = 4 * Self::VECTORS;
    /// Threads of a workgroup, which have the same channels and follow each other in pixels.
    const THREADS: u32 = 64;
}

/// Convolutions that only a CubeCL device has.
#[backend_extension(Cube)]
pub trait Conv3x3Ops: Backend {
    /// The same values in memory of their own, in the order of the shape.
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`conv3x3`], without a residual.
    fn conv3x3(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        output_channels: usize,
        options: Conv3x3,
    ) -> FloatTensor<Self>;
    /// See [`conv3x3`].
    fn conv3x3_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: Conv3x3,
    ) -> FloatTensor<Self>;
}

/// Weights in the order in which the kernel reads them, made once when they are loaded.
///
/// # Shapes
///
/// - weight: `[out, in, 3, 3]`
/// - output: `[in, 3, 3, out']`, where `out'` is `out` up to the next multiple of eight, with zeros
pub fn packed_weight(weight: Tensor<4>) -> Tensor<4> {
    let [output, input, ..] = weight.dims();
    let device = weight.device();
    let weight = weight.permute([1, 2, 3, 0]);
    let missing = output.next_multiple_of(Tile::CHANNELS) - output;
    let padded = if missing == 0 {
        weight
    } else {
        Tensor::cat(vec![weight, Tensor::zeros([input, 3, 3, missing], &device)], 3)
    };
    Tensor::from_dispatch(Dispatch::contiguous(padded.into_dispatch()))
}

/// A bias of as many channels as [`packed_weight`] has; zeros where a layer has none.
///
/// # Shapes
///
/// - bias: `[out]`
/// - output: `[out']`
pub fn packed_bias(bias: Tensor<1>) -> Tensor<1> {
    let [output] = bias.dims();
    let device = bias.device();
    let missing = output.next_multiple_of(Tile::CHANNELS) - output;
    if missing == 0 { bias } else { Tensor::cat(vec![bias, Tensor::zeros([missing], &device)], 0) }
}

/// Convolution with a kernel of 3 x 3 and a frame of one zero, on a device that [`handles`](super::handles) names.
///
/// # Shapes
///
/// - input: `[batch, in, height, width]`
/// - weight: of [`packed_weight`]
/// - bias: of [`packed_bias`]
/// - residual, added before the activation: as the output
/// - output: `[batch, output_channels, height', width']`, the sides by [`Conv3x3::output_side`]
pub fn conv3x3(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    residual: Option<Tensor<4>>,
    output_channels: usize,
    options: Conv3x3,
) -> Tensor<4> {
    let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(match residual {
        Some(residual) => Dispatch::conv3x3_add(input, weight, bias, residual.into_dispatch(), options),
        None => Dispatch::conv3x3(input, weight, bias, output_channels, options),
    })
}

impl Conv3x3Ops for CubeBackend {
    fn contiguous(tensor: CubeTensor) -> CubeTensor {
        into_contiguous(tensor)
    }

    fn conv3x3(
        input: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        output_channels: usize,
        options: Conv3x3,
    ) -> CubeTensor {
        let [batch, _, height, width] = input.shape().dims();
        let shape = Shape::new([batch, output_channels, options.output_side(height), options.output_side(width)]);
        kernel::launch([input, weight, bias].map(into_contiguous), None, shape, options)
    }

    fn conv3x3_add(
        input: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        residual: CubeTensor,
        options: Conv3x3,
    ) -> CubeTensor {
        let shape = residual.shape();
        kernel::launch([input, weight, bias].map(into_contiguous), Some(into_contiguous(residual)), shape, options)
    }
}
