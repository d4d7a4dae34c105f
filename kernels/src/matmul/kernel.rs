//! The kernel, and how it is started.

use super::{Activation, Layout, Matmul, Tile};
use crate::{
    packed::{Format, Operand, Stage, TILE, add_parts, fetch, stage},
    rehearsal::real_tokens,
};
use burn::tensor::Shape;
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;
use half::f16;

/// Sizes, as the kernel is told them.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Sizes {
    /// Tokens or pixels of one picture.
    tokens: usize,
    columns: usize,
    /// Rows of the matrix.
    rows: usize,
    /// Values of an output.
    outputs: usize,
}

/// What is compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    matmul: Matmul,
    format: Format,
    /// Rows of a thread.
    rows: usize,
    /// Threads along rows.
    across: usize,
    /// Whether products are of half precision.
    is_half: bool,
}

impl Plan {
    const fn stage(self) -> Stage {
        Stage { format: self.format, tiles: Tile::DOWN, columns: Tile::COLUMNS, threads: self.across * Tile::DOWN }
    }
}

/// Starts the kernel on contiguous tensors.
pub fn launch(
    [input, words, bias]: [CubeTensor; 3],
    residual: Option<CubeTensor>,
    shape: Shape,
    operand: Operand,
    matmul: Matmul,
) -> CubeTensor {
    let [batch, second, third] = shape.dims();
    let (tokens, outputs) = if matmul.output == Layout::Rows { (second, third) } else { (third, second) };
    // Rows of a whole batch follow each other.
    let is_flat = matmul.input == Layout::Rows && matmul.output == Layout::Rows;
    let (batch, tokens) = if is_flat { (1, batch * tokens) } else { (batch, tokens) };
    let client = input.client.clone();
    let output = empty_device_contiguous_dtype(client.clone(), input.device.clone(), shape, input.dtype);
    let many = real_tokens(tokens);
    let across = many.next_power_of_two().min(Tile::ACROSS);
    let is_half = operand.is_half(&client);
    let plan = Plan { matmul, format: operand.format, rows: Tile::rows(many), across, is_half };
    let count = CubeCount::Static(
        operand.rows.div_ceil(Tile::DOWN * TILE) as u32,
        tokens.div_ceil(plan.across * plan.rows) as u32,
        batch as u32,
    );
    let sizes = SizesLaunch::new(tokens, operand.columns, operand.rows, outputs);
    // Tokens have their values side by side, pixels only one.
    let vector = if matmul.input == Layout::Rows { 4 } else { 1 };
    let start = if is_half { matmul_kernel::launch::<f16> } else { matmul_kernel::launch::<f32> };
    start(
        &client,
        count,
        CubeDim::new_1d((plan.across * Tile::DOWN) as u32),
        vector,
        input.into_buffer_arg(),
        words.into_buffer_arg(),
        bias.into_buffer_arg(),
        residual.map(CubeTensor::into_buffer_arg).into(),
        output.clone().into_buffer_arg(),
        sizes,
        plan,
    );
    output
}

#[cube(launch)]
fn matmul_kernel<F: Float, N: Size>(
    input: &[Vector<f32, N>],
    words: &[Vector<u32, Const<4>>],
    bias: &[f32],
    residual: ComptimeOption<&[f32]>,
    output: &mut [f32],
    sizes: Sizes,
    #[comptime] plan: Plan,
) {
    let staging = comptime![plan.stage()];
    let rows = comptime![plan.rows];
    let own_tile = UNIT_POS as usize / comptime![plan.across];
    let first_tile = CUBE_POS_X as usize * comptime![Tile::DOWN];
    let first_row = CUBE_POS_Y as usize * comptime![plan.across * rows] + UNIT_POS as usize % comptime![plan.across];
    let batch = CUBE_POS_Z as usize;
    let tiles = sizes.rows.div_ceil(TILE);
    let read_tile = min(first_tile + own_tile, tiles - 1);

    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime![rows * 2]);
    // What is not in them yet: everything, unless it is of half precision.
    let mut parts = Array::<Vector<F, Const<4>>>::new(comptime![rows * 2]);
    #[unroll]
    for sum in 0..comptime![rows * 2] {
        sums[sum] = Vector::new(0.0f32.runtime());
        parts[sum] = Vector::cast_from(0.0f32.runtime());
    }
    let mut staged = Shared::<[Vector<F, Const<4>>]>::new_slice(comptime![staging.vectors()]);
    let columns = comptime![staging.columns];
    for first_column in range_stepped(0usize, sizes.columns, columns) {
        if comptime![staging.is_needed()] {
            stage(words, &mut staged, first_tile, tiles, first_column, sizes.columns, staging);
            sync_cube();
        }
        let steps = min(sizes.columns - first_column, columns) / 4;
        for step in 0..steps {
            let mut values = Array::<F>::new(comptime![rows * 4]);
            gather(input, &mut values, &sizes, batch, first_row, first_column + step * 4, plan);
            #[unroll]
            for next in 0..4usize {
                let column = step * 4 + next;
                #[unroll]
                for vector in 0..2usize {
                    let weights = if comptime![staging.is_needed()] {
                        staged[(own_tile * columns + column) * 2 + vector]
                    } else {
                        let at = read_tile * sizes.columns + first_column + column;
                        Vector::cast_from(fetch(words, at, vector, plan.format))
                    };
                    #[unroll]
                    for row in 0..rows {
                        parts[row * 2 + vector] += Vector::new(values[row * 4 + next]) * weights;
                    }
                }
            }
        }
        if comptime![plan.is_half] {
            add_parts(&mut sums, &mut parts, comptime![rows * 2]);
        }
        if comptime![staging.is_needed()] {
            // What is staged must not be overwritten before everybody has read it.
            sync_cube();
        }
    }
    if comptime![!plan.is_half] {
        add_parts(&mut sums, &mut parts, comptime![rows * 2]);
    }
    write(bias, residual, output, sums, &sizes, batch, first_row, first_tile + own_tile, plan);
}

/// Four columns of a thread's rows; rows beyond the last are the last again.
#[cube]
fn gather<F: Float, N: Size>(
    input: &[Vector<f32, N>],
    values: &mut Array<F>,
    sizes: &Sizes,
    batch: usize,
    first_row: usize,
    column: usize,
    #[comptime] plan: Plan,
) {
    #[unroll]
    for row in 0..comptime![plan.rows] {
        let token = min(first_row + row * comptime![plan.across], sizes.tokens - 1);
        if comptime![matches!(plan.matmul.input, Layout::Rows)] {
            let four = input[((batch * sizes.tokens + token) * sizes.columns + column) / 4];
            #[unroll]
            for next in 0..4usize {
                values[row * 4 + next] = F::cast_from(four.extract(next));
            }
        } else {
            #[unroll]
            for next in 0..4usize {
                let at = (batch * sizes.columns + column + next) * sizes.tokens + token;
                values[row * 4 + next] = F::cast_from(input[at].extract(0usize));
            }
        }
    }
}

/// Writes a thread's tile, as far as it is inside.
#[cube]
fn write(
    bias: &[f32],
    residual: ComptimeOption<&[f32]>,
    output: &mut [f32],
    sums: Array<Vector<f32, Const<4>>>,
    sizes: &Sizes,
    batch: usize,
    first_row: usize,
    tile: usize,
    #[comptime] plan: Plan,
) {
    let is_gated = comptime![matches!(plan.matmul.activation, Some(Activation::Geglu))];
    let vectors = comptime![if is_gated { 1usize } else { 2usize }];
    #[unroll]
    for vector in 0..vectors {
        #[unroll]
        for lane in 0..4usize {
            let value = (tile * vectors + vector) * 4 + lane;
            if value < sizes.outputs {
                #[unroll]
                for row in 0..comptime![plan.rows] {
                    let token = first_row + row * comptime![plan.across];
                    if token < sizes.tokens {
                        let sum = sums[row * 2 + vector].extract(lane) + bias[tile * TILE + vector * 4 + lane];
                        let result = if comptime![is_gated] {
                            sum * gelu(sums[row * 2 + 1].extract(lane) + bias[tile * TILE + 4 + lane])
                        } else {
                            activated(sum, plan.matmul.activation)
                        };
                        let at = if comptime![matches!(plan.matmul.output, Layout::Rows)] {
                            (batch * sizes.tokens + token) * sizes.outputs + value
                        } else {
                            (batch * sizes.outputs + value) * sizes.tokens + token
                        };
                        let added: ComptimeOption<f32> = residual.as_ref().map(|residual| residual[at]);
                        output[at] = result + added.unwrap_or(0.0f32.runtime());
                    }
                }
            }
        }
    }
}

#[cube]
fn activated(sum: f32, #[comptime] activation: Option<Activation>) -> f32 {
    match comptime![activation] {
        None | Some(Activation::Geglu) => sum,
        Some(Activation::Gelu) => gelu(sum),
        Some(Activation::QuickGelu) => sum / (1.0f32 + (-1.702f32 * sum).exp()),
        Some(Activation::Silu) => sum / (1.0f32 + (-sum).exp()),
    }
}

#[cube]
fn gelu(value: f32) -> f32 {
    0.5 * value * (1.0f32 + Erf::erf(value * comptime![std::f32::consts::FRAC_1_SQRT_2]))
}
