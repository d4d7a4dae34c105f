//! Attention for 32 queries at a time, a stretch of the keys after the other (Dao et al., 2022): no score matrix is in memory.
//!
//! Scores lie `[key, query]`, so that a query's greatest score and the sum of its weights are found lane by lane, and the weights
//! are the right side of the product with the values as they are.

use super::{
    Level,
    division::{Panel, panels},
    functions::exp,
    leveled,
    shared::Shared,
    tile::{COLUMNS, ROWS, Sums, accumulate},
    transpose::transpose,
};
use crate::cpu::attention::Attention;
use rayon::prelude::*;

/// Keys whose scores are in memory at once: 32 KiB.
const KEYS: usize = 256;

/// The operands, `[batch, tokens, width]` each.
pub struct Operands<'a> {
    pub query: &'a [f32],
    pub key: &'a [f32],
    pub value: &'a [f32],
}

/// Keys and values of one head of one picture as the tile reads them.
struct Head {
    /// `[tile of eight keys, value of the head, key]`, times 1 / sqrt(d).
    keys: Vec<f32>,
    /// `[tile of eight values of the head, key, value]`.
    values: Vec<f32>,
}

/// Attention of every picture and head: `[batch, queries, width]`.
pub fn output(attention: &Attention<'_>, batch: usize, operands: &Operands<'_>, level: Level) -> Vec<f32> {
    let mut output = vec![0.0; batch * attention.queries * attention.width()];
    if attention.keys == 0 {
        return output;
    }
    let heads: Vec<Head> = (0..batch * attention.heads)
        .into_par_iter()
        .map(|index| Head::pack(attention, index / attention.heads, index % attention.heads, operands, level))
        .collect();
    let shared = Shared::new(&mut output);
    let panels = panels(batch, attention.queries);
    let parts: Vec<(Panel, usize)> =
        (0..attention.heads).flat_map(|head| panels.iter().map(move |panel| (*panel, head))).collect();
    parts.par_iter().with_max_len(4).for_each_init(Scratch::default, |scratch, &(panel, head)| {
        let packed = &heads[panel.picture * attention.heads + head];
        scratch.attend(attention, packed, (panel, head), operands.query, &shared, level);
    });
    output
}

impl Head {
    fn pack(attention: &Attention<'_>, picture: usize, head: usize, operands: &Operands<'_>, level: Level) -> Self {
        let Attention { keys: count, depth, .. } = *attention;
        let width = attention.width();
        let scale = 1.0 / (depth as f32).sqrt();
        let start = picture * count * width + head * depth;
        let padded = count.next_multiple_of(ROWS);
        let mut keys = vec![0.0; padded * depth];
        for (tile, to) in keys.chunks_exact_mut((ROWS * depth).max(1)).enumerate() {
            let rows = ROWS.min(count - tile * ROWS);
            transpose(level, &operands.key[start + tile * ROWS * width..], width, to, ROWS, rows, depth);
            for key in to {
                *key *= scale;
            }
        }
        let mut values = vec![0.0; padded * depth.next_multiple_of(ROWS)];
        for key in 0..count {
            let row = &operands.value[start + key * width..][..depth];
            for (tile, from) in row.chunks(ROWS).enumerate() {
                values[(tile * padded + key) * ROWS..][..from.len()].copy_from_slice(from);
            }
        }
        Self { keys, values }
    }
}

/// What a thread needs for 32 queries.
struct Scratch {
    /// `[value of the head, query]`.
    queries: Vec<f32>,
    /// `[key, query]`.
    scores: Vec<f32>,
    /// `[value of the head, query]`.
    mixed: Vec<f32>,
    /// The greatest score of each query so far.
    most: [f32; COLUMNS],
    /// The sum of each query's weights so far.
    total: [f32; COLUMNS],
}

impl Default for Scratch {
    fn default() -> Self {
        let (queries, scores, mixed) = Default::default();
        Self { queries, scores, mixed, most: [0.0; COLUMNS], total: [0.0; COLUMNS] }
    }
}

impl Scratch {
    fn attend(
        &mut self,
        attention: &Attention<'_>,
        head: &Head,
        (panel, index): (Panel, usize),
        query: &[f32],
        output: &Shared<'_>,
        level: Level,
    ) {
        let (width, depth) = (attention.width(), attention.depth);
        let start = (panel.picture * attention.queries + panel.first) * width + index * depth;
        self.queries.clear();
        self.queries.resize(depth * COLUMNS, 0.0);
        transpose(level, &query[start..], width, &mut self.queries, COLUMNS, panel.count, depth);
        self.mixed.clear();
        self.mixed.resize(depth.next_multiple_of(ROWS) * COLUMNS, 0.0);
        self.scores.resize(KEYS * COLUMNS, 0.0);
        self.most = [f32::NEG_INFINITY; COLUMNS];
        self.total = [0.0; COLUMNS];
        let padded = attention.keys.next_multiple_of(ROWS);
        for first in (0..attention.keys).step_by(KEYS) {
            let keys = KEYS.min(padded - first);
            self.score(attention, head, panel, first..first + keys, level);
            let scale = weigh(level, &mut self.scores[..keys * COLUMNS], &mut self.most, &mut self.total);
            scale_all(level, &mut self.mixed, &scale);
            let (mixed, _) = self.mixed.as_chunks_mut::<{ ROWS * COLUMNS }>();
            for (tile, mixed) in mixed.iter_mut().enumerate() {
                accumulate(level, &head.values[(tile * padded + first) * ROWS..], &self.scores, mixed, keys);
            }
        }
        let scale = self.total.map(|total| 1.0 / total);
        scale_all(level, &mut self.mixed, &scale);
        for query in 0..panel.count {
            // SAFETY: no other part has this head of these queries.
            let to = unsafe { output.part(start + query * width, depth) };
            to.iter_mut().zip(self.mixed[query..].iter().step_by(COLUMNS)).for_each(|(to, from)| *to = *from);
        }
    }

    /// The scores of some keys, with the mask.
    fn score(
        &mut self,
        attention: &Attention<'_>,
        head: &Head,
        panel: Panel,
        keys: std::ops::Range<usize>,
        level: Level,
    ) {
        let depth = attention.depth;
        let (scores, _) = self.scores.as_chunks_mut::<{ ROWS * COLUMNS }>();
        for (first, scores) in keys.step_by(ROWS).zip(scores) {
            scores.fill(0.0);
            if let Some(mask) = attention.mask {
                mask_tile(mask, attention.keys, panel, first, scores);
            }
            accumulate(level, &head.keys[first * depth..], &self.queries, scores, depth);
            // Keys that fill the last tile weigh nothing.
            let missing = (first + ROWS).saturating_sub(attention.keys);
            scores[(ROWS - missing) * COLUMNS..].fill(f32::NEG_INFINITY);
        }
    }
}

/// The mask of eight keys, as their scores lie.
fn mask_tile(mask: &[f32], keys: usize, panel: Panel, first: usize, scores: &mut Sums) {
    for (key, scores) in scores.chunks_exact_mut(COLUMNS).enumerate().take(keys - first) {
        for (query, score) in scores.iter_mut().enumerate().take(panel.count) {
            *score = mask[(panel.first + query) * keys + first + key];
        }
    }
}

leveled! {
    /// Puts weights in place of scores, and gives what older sums are multiplied with.
    fn weigh(scores: &mut [f32], most: &mut [f32; COLUMNS], total: &mut [f32; COLUMNS]) -> [f32; COLUMNS] {
        let (rows, _) = scores.as_chunks_mut::<COLUMNS>();
        let mut greatest = *most;
        for row in rows.iter() {
            greatest.iter_mut().zip(row).for_each(|(most, &score)| *most = if score > *most { score } else { *most });
        }
        // Where everything is masked so far, nothing is subtracted.
        let base = greatest.map(|most| if most == f32::NEG_INFINITY { 0.0 } else { most });
        let scale: [f32; COLUMNS] = std::array::from_fn(|query| exp(most[query] - base[query]));
        let mut sums = [0.0_f32; COLUMNS];
        for row in rows {
            for query in 0..COLUMNS {
                let weight = exp(row[query] - base[query]);
                row[query] = weight;
                sums[query] += weight;
            }
        }
        for query in 0..COLUMNS {
            total[query] = total[query].mul_add(scale[query], sums[query]);
        }
        *most = greatest;
        scale
    }
}

leveled! {
    /// Multiplies each row with the same numbers.
    fn scale_all(rows: &mut [f32], scale: &[f32; COLUMNS]) {
        for row in rows.as_chunks_mut::<COLUMNS>().0 {
            row.iter_mut().zip(scale).for_each(|(value, scale)| *value *= scale);
        }
    }
}
