//! Attention four queries at a time: their scores alone are in memory.

use super::{
    contiguous, dims,
    functions::exp,
    simd::{LANES, add, greatest, load, max, mul, splat, store, sub, sum},
    tensor,
    tile::{self, COLUMNS, ROWS, Rows},
    values,
};
use crate::attention::AttentionOps;
use burn::backend::{Flex, flex::FlexTensor};

impl AttentionOps for Flex {
    fn attention(query: FlexTensor, key: FlexTensor, value: FlexTensor, heads: usize) -> FlexTensor {
        launch(&[query, key, value].map(contiguous), None, heads)
    }

    fn attention_masked(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        mask: FlexTensor,
        heads: usize,
    ) -> FlexTensor {
        launch(&[query, key, value].map(contiguous), Some(&contiguous(mask)), heads)
    }
}

fn launch([query, key, value]: &[FlexTensor; 3], mask: Option<&FlexTensor>, heads: usize) -> FlexTensor {
    let [batch, queries, width] = dims(query);
    let [_, keys, _] = dims(key);
    let mask = mask.map(values);
    let attention = Attention { heads, queries, keys, depth: width / heads, mask };
    let [query, key, value] = [query, key, value].map(values);
    #[cfg(target_arch = "x86_64")]
    if let Some(level) = super::wide() {
        let operands = super::wide::attention::Operands { query, key, value };
        let output = super::wide::attention::output(&attention, batch, &operands, level);
        return tensor(output, [batch, queries, width]);
    }
    let mut output = vec![0.0; batch * queries * width];
    let mut head = Head::default();
    for (n, output) in output.chunks_exact_mut((queries * width).max(1)).enumerate() {
        let query = &query[n * queries * width..][..queries * width];
        let of_picture = n * keys * width..(n + 1) * keys * width;
        for index in 0..heads {
            head.pack(&attention, index, &key[of_picture.clone()], &value[of_picture.clone()]);
            head.attend(&attention, index, query, output);
        }
    }
    tensor(output, [batch, queries, width])
}

pub(super) struct Attention<'a> {
    pub(super) heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) depth: usize,
    pub(super) mask: Option<&'a [f32]>,
}

impl Attention<'_> {
    pub(super) const fn width(&self) -> usize {
        self.heads * self.depth
    }

    const fn padded_keys(&self) -> usize {
        self.keys.next_multiple_of(COLUMNS)
    }
}

/// One head's keys and values as the tile reads them, and what a few queries need.
#[derive(Default)]
struct Head {
    /// `[panel of eight keys, value of the head, key]`, times 1 / sqrt(d).
    keys: Vec<f32>,
    /// `[panel of eight values of the head, key, value]`.
    values: Vec<f32>,
    scores: Vec<f32>,
}

impl Head {
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn pack(&mut self, attention: &Attention<'_>, index: usize, keys: &[f32], values: &[f32]) {
        let Attention { depth, .. } = *attention;
        let scale = 1.0 / (depth as f32).sqrt();
        let rows = |from| <[f32]>::chunks_exact(from, attention.width()).map(move |row| &row[index * depth..][..depth]);
        self.keys.clear();
        self.keys.resize(attention.padded_keys() * depth, 0.0);
        for (key, row) in rows(keys).enumerate() {
            let panel = &mut self.keys[key / COLUMNS * COLUMNS * depth..][..COLUMNS * depth];
            panel.chunks_exact_mut(COLUMNS).zip(row).for_each(|(to, from)| to[key % COLUMNS] = from * scale);
        }
        self.values.clear();
        self.values.resize(attention.keys * depth.next_multiple_of(COLUMNS), 0.0);
        for (key, row) in rows(values).enumerate() {
            for (panel, from) in row.chunks(COLUMNS).enumerate() {
                self.values[(panel * attention.keys + key) * COLUMNS..][..from.len()].copy_from_slice(from);
            }
        }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn attend(&mut self, attention: &Attention<'_>, index: usize, query: &[f32], output: &mut [f32]) {
        let (width, depth) = (attention.width(), attention.depth);
        for first in (0..attention.queries).step_by(ROWS) {
            let rows = ROWS.min(attention.queries - first);
            let start = first * width + index * depth;
            self.score(attention, first, rows, &query[start..]);
            let sums: [f32; ROWS] = std::array::from_fn(|row| self.weigh(attention, row, rows));
            self.mix(attention, rows, &sums, &mut output[start..]);
        }
    }

    /// The scores of a few queries.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn score(&mut self, attention: &Attention<'_>, first: usize, rows: usize, query: &[f32]) {
        let (keys, depth) = (attention.padded_keys(), attention.depth);
        self.scores.clear();
        self.scores.resize(ROWS * keys, 0.0);
        if let Some(mask) = attention.mask {
            let masks = mask[first * attention.keys..].chunks_exact(attention.keys).take(rows);
            for (scores, mask) in self.scores.chunks_exact_mut(keys).zip(masks) {
                scores[..mask.len()].copy_from_slice(mask);
            }
        }
        let query = Rows { values: query, row: attention.width(), column: 1 };
        for (panel, packed) in self.keys.chunks_exact(COLUMNS * depth).enumerate() {
            let place = &mut self.scores[panel * COLUMNS..];
            tile::accumulate(query, (packed, COLUMNS), (place, keys), rows, depth);
        }
    }

    /// Puts a row's weights in place of its scores, and gives their sum.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn weigh(&mut self, attention: &Attention<'_>, row: usize, rows: usize) -> f32 {
        if row >= rows {
            return 1.0;
        }
        let keys = attention.padded_keys();
        let scores = &mut self.scores[row * keys..][..keys];
        scores[attention.keys..].fill(f32::NEG_INFINITY);
        let mut most = splat(f32::NEG_INFINITY);
        for four in scores.chunks_exact(LANES) {
            most = max(most, load(four));
        }
        let most = splat(greatest(most));
        let mut total = splat(0.0);
        for four in scores.chunks_exact_mut(LANES) {
            let weight = exp(sub(load(four), most));
            total = add(total, weight);
            store(weight, four);
        }
        sum(total)
    }

    /// The values in their weights.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn mix(&self, attention: &Attention<'_>, rows: usize, sums: &[f32; ROWS], output: &mut [f32]) {
        let Attention { keys, depth, .. } = *attention;
        let weights = Rows { values: &self.scores, row: attention.padded_keys(), column: 1 };
        for (panel, packed) in self.values.chunks_exact((keys * COLUMNS).max(1)).enumerate() {
            let mut mixed = [0.0; ROWS * COLUMNS];
            tile::accumulate(weights, (packed, COLUMNS), (&mut mixed, COLUMNS), rows, keys);
            let first = panel * COLUMNS;
            let count = COLUMNS.min(depth - first);
            for (row, mixed) in mixed.chunks_exact_mut(COLUMNS).take(rows).enumerate() {
                let scale = splat(1.0 / sums[row]);
                mixed.chunks_exact_mut(LANES).for_each(|four| store(mul(load(four), scale), four));
                output[row * attention.width() + first..][..count].copy_from_slice(&mixed[..count]);
            }
        }
    }
}
