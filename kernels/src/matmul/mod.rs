//! Products with a packed matrix: linear layers and 1 x 1 convolutions.
//!
//! Tokens lie row by row, pixels plane by plane; either can go in and either come out, so that a picture becomes tokens and tokens a
//! picture on the way, without a pass of its own. A workgroup of 8 x 8 threads computes 64 outputs of up to 64 rows: a thread a tile of
//! eight outputs by up to eight rows in registers. A matrix of single precision is read where it lies, without a barrier; any other passes
//! through the workgroup's memory, [`Tile::COLUMNS`] columns at a time, and is turned into f32 there once for all rows. Inputs come from
//! the caches.
//!
//! In the epilogue: bias, activation or gate, residual. Sums are f32, products as [`Products`](crate::packed::Products) says.

mod kernel;
pub mod reference;
#[cfg(test)]
pub(crate) mod tests;

use crate::packed::{Format, Operand, PackedWeight};
use burn::{
    backend::{
        Backend, Dispatch, TensorMetadata as _, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{Shape, Tensor},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};

/// How tokens or pixels lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[batch, tokens, values]`.
    Rows,
    /// `[batch, values, pixels]`.
    Planes,
}

/// What a sum goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The exact Gaussian error linear unit.
    Gelu,
    /// `x σ(1.702 x)`.
    QuickGelu,
    /// `x σ(x)`.
    Silu,
    /// `x gelu(y)` for each `x` of the first half of the outputs and `y` of the second (Shazeer, 2020); the matrix is packed in
    /// [`RowOrder::Halves`](crate::packed::RowOrder::Halves), the bias too.
    Geglu,
}

/// What is done, and how the operands lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// How the input lies.
    pub input: Layout,
    /// How the output lies, and a residual.
    pub output: Layout,
    /// What the sum goes through, before a residual is added.
    pub activation: Option<Activation>,
}

impl Matmul {
    /// Tokens in, tokens out.
    pub const ROWS: Self = Self { input: Layout::Rows, output: Layout::Rows, activation: None };
    /// Pixels in, pixels out: a 1 x 1 convolution.
    pub const PLANES: Self = Self { input: Layout::Planes, output: Layout::Planes, activation: None };
}

/// How the work is divided.
///
/// One size serves all for now: nothing but a software adapter was there to measure it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile;

impl Tile {
    /// Threads along rows, at most.
    const ACROSS: usize = 8;
    /// Threads along outputs, each with a tile of eight.
    const DOWN: usize = 8;
    /// Columns that are turned into f32 at once.
    const COLUMNS: usize = 32;

    /// Rows of a thread: few when there are few, so that all threads have some.
    const fn rows(rows: usize) -> usize {
        match rows {
            0..=8 => 1,
            9..=16 => 2,
            17..=32 => 4,
            _ => 8,
        }
    }
}

/// Products that a CubeCL device and the CPU have.
#[backend_extension(Cube, Flex)]
pub trait MatmulOps: Backend {
    /// See [`matmul`], without a residual.
    fn packed_matmul(
        input: FloatTensor<Self>,
        words: IntTensor<Self>,
        bias: FloatTensor<Self>,
        operand: Operand,
        plan: Matmul,
    ) -> FloatTensor<Self>;
    /// See [`matmul`].
    fn packed_matmul_add(
        input: FloatTensor<Self>,
        words: IntTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        operand: Operand,
        plan: Matmul,
    ) -> FloatTensor<Self>;
}

/// Whether [`matmul`] knows matrices of this format and so many columns.
pub const fn knows(format: Format, columns: usize) -> bool {
    columns > 0 && columns.is_multiple_of(4) && columns.is_multiple_of(format.columns_at_once())
}

/// The product of every token or pixel with a matrix that it [`knows`], on a device that [`handles`](super::handles) names.
///
/// # Shapes
///
/// - input: `[batch, tokens, columns]` or `[batch, columns, pixels]`, by `plan.input`
/// - bias: `[rows]`
/// - residual, added last: as the output
/// - output: `[batch, tokens, rows]` or `[batch, rows, pixels]`, by `plan.output`; half of the rows under
///   [`Activation::Geglu`]
pub fn matmul(
    input: Tensor<3>,
    weight: &PackedWeight,
    bias: Tensor<1>,
    residual: Option<Tensor<3>>,
    plan: Matmul,
) -> Tensor<3> {
    let operand = weight.operand();
    let (input, words, bias) = (input.into_dispatch(), weight.words.clone().into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(match residual {
        Some(residual) => Dispatch::packed_matmul_add(input, words, bias, residual.into_dispatch(), operand, plan),
        None => Dispatch::packed_matmul(input, words, bias, operand, plan),
    })
}

/// The output's shape.
fn shape(input: &CubeTensor, operand: Operand, plan: Matmul) -> Shape {
    let [batch, second, third] = input.shape().dims();
    let tokens = if plan.input == Layout::Rows { second } else { third };
    let values = if plan.activation == Some(Activation::Geglu) { operand.rows / 2 } else { operand.rows };
    match plan.output {
        Layout::Rows => Shape::new([batch, tokens, values]),
        Layout::Planes => Shape::new([batch, values, tokens]),
    }
}

impl MatmulOps for CubeBackend {
    fn packed_matmul(
        input: CubeTensor,
        words: CubeTensor,
        bias: CubeTensor,
        operand: Operand,
        plan: Matmul,
    ) -> CubeTensor {
        let shape = shape(&input, operand, plan);
        kernel::launch([into_contiguous(input), words, into_contiguous(bias)], None, shape, operand, plan)
    }

    fn packed_matmul_add(
        input: CubeTensor,
        words: CubeTensor,
        bias: CubeTensor,
        residual: CubeTensor,
        operand: Operand,
        plan: Matmul,
    ) -> CubeTensor {
        let shape = shape(&input, operand, plan);
        let operands = [into_contiguous(input), words, into_contiguous(bias)];
        kernel::launch(operands, Some(into_contiguous(residual)), shape, operand, plan)
    }
}
