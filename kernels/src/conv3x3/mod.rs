//! 3 x 3 convolution as an implicit matrix product: rows are output channels, columns pixels, and nothing is unfolded in memory.
//!
//! A thread holds a tile of [`Tile::PIXELS`] neighbouring pixels by eight channels in registers. For each input channel and each row of
//! the kernel it reads the pixels under the tile once and uses them for all three columns; weights are read four channels at a time. Where
//! there are few pixels, a workgroup has several tiles of channels side by side.
//!
//! Weights of single precision are read where they lie, without a barrier; all others pass through the workgroup's memory, a few input
//! channels at a time, and are turned into f32 there once for all pixels.
//!
//! In the epilogue: bias (one for all pictures or one for each, which is how a time embedding is added), a residual, an activation. In the prologue: nearest upsampling by two, so that the enlarged input is never
//! written. Sums are f32, products as [`Products`](crate::packed::Products) says.

mod kernel;
pub mod reference;
#[cfg(test)]
pub(crate) mod tests;

use crate::packed::{Operand, PackedWeight, TILE};
use burn::{
    backend::{
        Backend, Dispatch, TensorMetadata as _, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
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
    /// Pixels in a row, at most.
    const PIXELS: usize = 8;
    /// Channels, in vectors of four: a tile of the packed weights.
    const VECTORS: usize = TILE / 4;
    /// Threads of a workgroup.
    const THREADS: usize = 64;
    /// Tiles of channels in a workgroup, at most.
    const MOST_SIDE_BY_SIDE: usize = 8;
    /// Input channels whose weights for one tile are turned into f32 at once: 9,216 bytes of the workgroup's memory.
    const CHANNELS_AT_ONCE: usize = 32;
    /// Input channels whose products are added up in half precision, nine each.
    const CHANNELS_IN_HALF: usize = 4;
}

/// Convolutions that a CubeCL device and the CPU have.
#[backend_extension(Cube, Flex)]
pub trait Conv3x3Ops: Backend {
    /// See [`conv3x3`], without a residual.
    fn conv3x3(
        input: FloatTensor<Self>,
        words: IntTensor<Self>,
        bias: FloatTensor<Self>,
        operand: Operand,
        options: Conv3x3,
    ) -> FloatTensor<Self>;
    /// See [`conv3x3`].
    fn conv3x3_add(
        input: FloatTensor<Self>,
        words: IntTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        operand: Operand,
        options: Conv3x3,
    ) -> FloatTensor<Self>;
}

/// A bias of as many channels as whole tiles have.
///
/// # Shapes
///
/// - bias: `[1, out]`, or `[batch, out]` with one for each picture
/// - output: the same with `out` up to the next multiple of [`TILE`], with zeros
pub fn padded_bias(bias: Tensor<2>) -> Tensor<2> {
    let [count, output] = bias.dims();
    let missing = output.next_multiple_of(TILE) - output;
    if missing == 0 {
        return bias;
    }
    let zeros = Tensor::zeros([count, missing], &bias.device());
    Tensor::cat(vec![bias, zeros], 1)
}

/// Convolution with a kernel of 3 x 3 and a frame of one zero, on a device that [`handles`](super::handles) names.
///
/// # Shapes
///
/// - input: `[batch, in, height, width]`
/// - weight: `[out, in * 9]`, the kernel's columns fastest
/// - bias: of [`padded_bias`]
/// - residual, added before the activation: as the output
/// - output: `[batch, out, height', width']`, the sides by [`Conv3x3::output_side`]
pub fn conv3x3(
    input: Tensor<4>,
    weight: &PackedWeight,
    bias: Tensor<2>,
    residual: Option<Tensor<4>>,
    options: Conv3x3,
) -> Tensor<4> {
    let operand = weight.operand();
    let (input, words, bias) = (input.into_dispatch(), weight.words.clone().into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(match residual {
        Some(residual) => Dispatch::conv3x3_add(input, words, bias, residual.into_dispatch(), operand, options),
        None => Dispatch::conv3x3(input, words, bias, operand, options),
    })
}

impl Conv3x3Ops for CubeBackend {
    fn conv3x3(
        input: CubeTensor,
        words: CubeTensor,
        bias: CubeTensor,
        operand: Operand,
        options: Conv3x3,
    ) -> CubeTensor {
        let [batch, _, height, width] = input.shape().dims();
        let shape = Shape::new([batch, operand.rows, options.output_side(height), options.output_side(width)]);
        kernel::launch([into_contiguous(input), words, into_contiguous(bias)], None, shape, operand, options)
    }

    fn conv3x3_add(
        input: CubeTensor,
        words: CubeTensor,
        bias: CubeTensor,
        residual: CubeTensor,
        operand: Operand,
        options: Conv3x3,
    ) -> CubeTensor {
        let shape = residual.shape();
        let operands = [into_contiguous(input), words, into_contiguous(bias)];
        kernel::launch(operands, Some(into_contiguous(residual)), shape, operand, options)
    }
}
