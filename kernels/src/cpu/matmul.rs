//! Products of tokens or pixels with a packed matrix.

use super::{
    contiguous, dims,
    functions::{gelu, swish},
    simd::{LANES, add, load, mul, store, transpose},
    tensor,
    tile::{self, COLUMNS, ROWS, Rows},
    values, weights,
};
use crate::{
    matmul::{Activation, Layout, Matmul, MatmulOps},
    packed::Operand,
};
use burn::backend::{Flex, flex::FlexTensor};

/// Tokens whose sums are kept for one tile of the matrix.
const TOKENS_AT_ONCE: usize = 256;
/// Columns whose products are added up at once: 16 KiB of the matrix stay in the nearest cache.
const COLUMNS_AT_ONCE: usize = 512;

impl MatmulOps for Flex {
    fn packed_matmul(
        input: FlexTensor,
        words: FlexTensor,
        bias: FlexTensor,
        operand: Operand,
        plan: Matmul,
    ) -> FlexTensor {
        launch(&[input, bias].map(contiguous), &words, None, operand, plan)
    }

    fn packed_matmul_add(
        input: FlexTensor,
        words: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        operand: Operand,
        plan: Matmul,
    ) -> FlexTensor {
        launch(&[input, bias].map(contiguous), &words, Some(&contiguous(residual)), operand, plan)
    }
}

fn launch(
    [input, bias]: &[FlexTensor; 2],
    words: &FlexTensor,
    residual: Option<&FlexTensor>,
    operand: Operand,
    plan: Matmul,
) -> FlexTensor {
    let [batch, second, third] = dims(input);
    let tokens = if plan.input == Layout::Rows { second } else { third };
    let outputs = if plan.activation == Some(Activation::Geglu) { operand.rows / 2 } else { operand.rows };
    let is_rows = plan.input == Layout::Rows && plan.output == Layout::Rows;
    let product = Product {
        input: values(input),
        weight: weights(words),
        bias: values(bias),
        residual: residual.map(values),
        // All tokens are one picture's where pictures make no difference.
        tokens: if is_rows { batch * tokens } else { tokens },
        batch: if is_rows { 1 } else { batch },
        columns: operand.columns,
        outputs,
        plan,
    };
    let output = product.output();
    match plan.output {
        Layout::Rows => tensor(output, [batch, tokens, outputs]),
        Layout::Planes => tensor(output, [batch, outputs, tokens]),
    }
}

pub(super) struct Product<'a> {
    pub(super) input: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) batch: usize,
    pub(super) tokens: usize,
    pub(super) columns: usize,
    pub(super) outputs: usize,
    pub(super) plan: Matmul,
}

/// Some tokens of a picture, and the tile of the matrix that they are multiplied with.
#[derive(Clone, Copy)]
struct Block {
    picture: usize,
    first: usize,
    count: usize,
    tile: usize,
}

impl Product<'_> {
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn output(&self) -> Vec<f32> {
        #[cfg(target_arch = "x86_64")]
        if let Some(level) = super::wide() {
            return super::wide::matmul::output(self, level);
        }
        let mut output = vec![0.0; self.batch * self.tokens * self.outputs];
        let mut sums = vec![0.0; TOKENS_AT_ONCE.min(self.tokens).next_multiple_of(LANES) * COLUMNS];
        for picture in 0..self.batch {
            for first in (0..self.tokens).step_by(TOKENS_AT_ONCE) {
                let count = TOKENS_AT_ONCE.min(self.tokens - first);
                for tile in 0..self.bias.len().div_ceil(COLUMNS) {
                    let block = Block { picture, first, count, tile };
                    self.add_up(block, &mut sums);
                    self.finish(block, &mut sums, &mut output);
                }
            }
        }
        output
    }

    /// The sums of a block, eight for each token, the bias first.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn add_up(&self, block: Block, sums: &mut [f32]) {
        let Block { picture, first, count, tile } = block;
        let mut bias = [0.0; COLUMNS];
        let of_tile = &self.bias[tile * COLUMNS..];
        let known = of_tile.len().min(COLUMNS);
        bias[..known].copy_from_slice(&of_tile[..known]);
        sums.chunks_exact_mut(COLUMNS).for_each(|sums| sums.copy_from_slice(&bias));

        let (row, column) = match self.plan.input {
            Layout::Rows => (self.columns, 1),
            Layout::Planes => (1, self.tokens),
        };
        let input = &self.input[picture * self.tokens * self.columns..];
        let weight = &self.weight[tile * self.columns * COLUMNS..];
        for start in (0..self.columns).step_by(COLUMNS_AT_ONCE) {
            let depth = COLUMNS_AT_ONCE.min(self.columns - start);
            let weight = &weight[start * COLUMNS..];
            for token in (0..count).step_by(ROWS) {
                let a = Rows { values: &input[(first + token) * row + start * column..], row, column };
                let place = &mut sums[token * COLUMNS..];
                tile::accumulate(a, (weight, COLUMNS), (place, COLUMNS), ROWS.min(count - token), depth);
            }
        }
    }

    /// Activation, residual, and the way to where the outputs belong.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn finish(&self, block: Block, sums: &mut [f32], output: &mut [f32]) {
        let sums = &mut sums[..block.count.next_multiple_of(LANES) * COLUMNS];
        let width = match self.plan.activation {
            None => COLUMNS,
            Some(Activation::Geglu) => {
                for sums in sums.chunks_exact_mut(COLUMNS) {
                    let gated = mul(load(sums), gelu(load(&sums[LANES..])));
                    store(gated, sums);
                }
                LANES
            }
            Some(activation) => {
                for four in sums.chunks_exact_mut(LANES) {
                    let value = load(four);
                    let value = match activation {
                        Activation::QuickGelu => swish(value, 1.702),
                        Activation::Silu => swish(value, 1.0),
                        Activation::Gelu | Activation::Geglu => gelu(value),
                    };
                    store(value, four);
                }
                COLUMNS
            }
        };
        let first = block.tile * width;
        let width = width.min(self.outputs - first);
        match self.plan.output {
            Layout::Rows => self.write_rows(block, first, width, sums, output),
            Layout::Planes => self.write_planes(block, first, width, sums, output),
        }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn write_rows(&self, block: Block, first: usize, width: usize, sums: &[f32], output: &mut [f32]) {
        for token in 0..block.count {
            let at = (block.picture * self.tokens + block.first + token) * self.outputs + first;
            let residual = self.residual.map(|residual| &residual[at..at + width]);
            write(&sums[token * COLUMNS..][..width], residual, &mut output[at..at + width]);
        }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn write_planes(&self, block: Block, first: usize, width: usize, sums: &mut [f32], output: &mut [f32]) {
        let mut planes = [[0.0; LANES]; COLUMNS];
        for token in (0..block.count).step_by(LANES) {
            let known = LANES.min(block.count - token);
            for half in [0, LANES] {
                let row = |row: usize| load(&sums[(token + row) * COLUMNS + half..]);
                let columns = transpose([row(0), row(1), row(2), row(3)]);
                for (lane, column) in columns.into_iter().enumerate() {
                    store(column, &mut planes[half + lane]);
                }
            }
            for (lane, plane) in planes.iter().enumerate().take(width) {
                let at = (block.picture * self.outputs + first + lane) * self.tokens + block.first + token;
                let residual = self.residual.map(|residual| &residual[at..at + known]);
                write(&plane[..known], residual, &mut output[at..at + known]);
            }
        }
    }
}

/// Copies values of one length, with a residual where there is one.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn write(from: &[f32], residual: Option<&[f32]>, to: &mut [f32]) {
    let whole = from.len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let value = load(&from[at..]);
        let value = residual.map_or(value, |residual| add(value, load(&residual[at..])));
        store(value, &mut to[at..]);
    }
    to[whole..].copy_from_slice(&from[whole..]);
    if let Some(residual) = residual {
        to[whole..].iter_mut().zip(&residual[whole..]).for_each(|(to, residual)| *to += residual);
    }
}
