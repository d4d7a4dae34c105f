//! Products of tokens or pixels with a packed matrix.

use super::{
    Level,
    division::{Panel, Part, panels, parts},
    functions::{gate_all, gelu_all, swish_all, write},
    shared::Shared,
    tile::{COLUMNS, ROWS, Sums, accumulate},
    transpose::transpose,
};
use crate::{
    cpu::matmul::Product,
    matmul::{Activation, Layout},
};
use rayon::prelude::*;

/// Columns whose products are added up at once: 20 KiB of a panel stay in the nearest cache.
const DEPTH: usize = 160;
/// Panels that are multiplied with a stretch of the matrix before the next is read.
const PANELS: usize = 4;

/// The product; see [`Product`].
pub fn output(product: &Product<'_>, level: Level) -> Vec<f32> {
    let mut output = vec![0.0; product.batch * product.tokens * product.outputs];
    let tiles = product.bias.len().div_ceil(ROWS);
    let panels = panels(product.batch, product.tokens);
    let shared = Shared::new(&mut output);
    let parts = parts(&panels, tiles, PANELS, rayon::current_num_threads());
    parts.par_iter().for_each_init(Scratch::default, |scratch, part| part_of(product, part, &shared, scratch, level));
    output
}

/// Room that a thread keeps.
#[derive(Default)]
struct Scratch {
    panel: Vec<f32>,
    /// `[panel, tile, row, column]`.
    sums: Vec<f32>,
}

fn part_of(product: &Product<'_>, part: &Part<'_>, output: &Shared<'_>, scratch: &mut Scratch, level: Level) {
    let tiles = part.tiles.len();
    scratch.panel.resize(DEPTH * COLUMNS, 0.0);
    scratch.sums.resize(part.panels.len() * tiles * size_of::<Sums>() / size_of::<f32>(), 0.0);
    let (sums, _) = scratch.sums.as_chunks_mut::<{ ROWS * COLUMNS }>();
    for sums in sums.chunks_exact_mut(tiles) {
        start(product, part, sums);
    }
    for first in (0..product.columns).step_by(DEPTH) {
        let depth = DEPTH.min(product.columns - first);
        for (panel, sums) in part.panels.iter().zip(sums.chunks_exact_mut(tiles)) {
            pack(product, *panel, first, depth, &mut scratch.panel, level);
            for (tile, sums) in part.tiles.clone().zip(sums) {
                let weight = &product.weight[(tile * product.columns + first) * ROWS..];
                accumulate(level, weight, &scratch.panel, sums, depth);
            }
        }
    }
    for (panel, sums) in part.panels.iter().zip(sums.chunks_exact_mut(tiles)) {
        for (tile, sums) in part.tiles.clone().zip(sums) {
            finish(product, *panel, tile, sums, output, level);
        }
    }
}

/// The bias of every tile.
fn start(product: &Product<'_>, part: &Part<'_>, sums: &mut [Sums]) {
    for (tile, sums) in part.tiles.clone().zip(sums) {
        for (row, sums) in sums.chunks_exact_mut(COLUMNS).enumerate() {
            sums.fill(product.bias.get(tile * ROWS + row).copied().unwrap_or(0.0));
        }
    }
}

/// Some columns of a panel's tokens: `[column, token]`.
fn pack(product: &Product<'_>, panel: Panel, first: usize, depth: usize, packed: &mut [f32], level: Level) {
    let input = &product.input[panel.picture * product.tokens * product.columns..];
    match product.plan.input {
        Layout::Rows => {
            let from = &input[panel.first * product.columns + first..];
            transpose(level, from, product.columns, packed, COLUMNS, panel.count, depth);
        }
        Layout::Planes => {
            for (k, packed) in packed.chunks_exact_mut(COLUMNS).take(depth).enumerate() {
                let from = &input[(first + k) * product.tokens + panel.first..][..panel.count];
                packed[..panel.count].copy_from_slice(from);
            }
        }
    }
}

/// Activation, residual, and the way to where the outputs belong.
fn finish(product: &Product<'_>, panel: Panel, tile: usize, sums: &mut Sums, output: &Shared<'_>, level: Level) {
    let width = match product.plan.activation {
        None => ROWS,
        Some(Activation::Geglu) => {
            let (values, gates) = sums.split_at_mut(ROWS / 2 * COLUMNS);
            gate_all(level, values, gates);
            ROWS / 2
        }
        Some(Activation::Gelu) => {
            gelu_all(level, sums);
            ROWS
        }
        Some(Activation::QuickGelu) => {
            swish_all(level, sums, 1.702);
            ROWS
        }
        Some(Activation::Silu) => {
            swish_all(level, sums, 1.0);
            ROWS
        }
    };
    let first = tile * width;
    let width = width.min(product.outputs - first);
    match product.plan.output {
        Layout::Planes => {
            for (row, sums) in sums.chunks_exact(COLUMNS).take(width).enumerate() {
                let at = (panel.picture * product.outputs + first + row) * product.tokens + panel.first;
                let residual = product.residual.map(|residual| &residual[at..at + panel.count]);
                // SAFETY: no other part has this tile of this panel.
                write(level, &sums[..panel.count], residual, unsafe { output.part(at, panel.count) });
            }
        }
        Layout::Rows => {
            let mut turned = [0.0; ROWS * COLUMNS];
            transpose(level, sums, COLUMNS, &mut turned, ROWS, width, panel.count);
            for (token, turned) in turned.chunks_exact(ROWS).take(panel.count).enumerate() {
                let at = (panel.picture * product.tokens + panel.first + token) * product.outputs + first;
                // SAFETY: no other part has this tile of this panel.
                let to = unsafe { output.part(at, width) };
                match product.residual {
                    Some(residual) => {
                        let residual = &residual[at..at + width];
                        to.iter_mut()
                            .zip(turned)
                            .zip(residual)
                            .for_each(|((to, from), residual)| *to = from + residual);
                    }
                    None => to.copy_from_slice(&turned[..width]),
                }
            }
        }
    }
}
