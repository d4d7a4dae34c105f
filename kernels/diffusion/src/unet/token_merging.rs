//! Token merging: like tokens become one before a layer, and many again after it (Bolya and Hoffman, 2023).

use crate::noise::Philox;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use serde::Deserialize;
use std::cell::RefCell;

/// How tokens are merged; names and defaults are those of the paper's package, `tomesd`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the paper's package has them one by one")]
pub struct TokenMerging {
    /// Share of the tokens that are merged into others.
    pub ratio: f64,
    /// Layers whose pixels are at most so many times larger than the latents'.
    pub max_downsample: usize,
    /// Every cell of so many pixels across has one token that others are merged into.
    pub sx: usize,
    /// The same downwards.
    pub sy: usize,
    /// Whether tokens are merged for the attention among them.
    pub attention: bool,
    /// Whether they are for the attention to the words.
    pub cross_attention: bool,
    /// Whether they are for the feed-forward part.
    pub feed_forward: bool,
    /// Whether that token is drawn anew every time, not the cell's corner.
    pub is_seeded: bool,
}

impl Default for TokenMerging {
    fn default() -> Self {
        Self {
            ratio: 0.5,
            max_downsample: 1,
            sx: 2,
            sy: 2,
            attention: true,
            cross_attention: false,
            feed_forward: false,
            is_seeded: true,
        }
    }
}

/// Elements of the largest matrix in which tokens are compared: memory does not grow with the square of their number.
const AT_ONCE: usize = 1 << 21;

/// Merges the tokens of one run.
#[derive(Debug)]
pub struct TokenMerger {
    /// How.
    pub settings: TokenMerging,
    /// The same for every run, so that a picture depends neither on its neighbours nor on what was drawn before it.
    random: RefCell<Philox>,
}

impl TokenMerger {
    /// Of a run's beginning.
    pub fn new(settings: TokenMerging) -> Self {
        Self { settings, random: RefCell::new(Philox::new(0)) }
    }

    /// # Shapes
    ///
    /// - tokens: `[batch, height * width, channels]`
    pub(super) fn merge(&self, tokens: &Tensor<3>, [height, width]: [usize; 2], latents: [usize; 2]) -> Option<Merge> {
        let TokenMerging { ratio, max_downsample, sx, sy, .. } = self.settings;
        let count = height * width;
        let downsample = ((latents[0] * latents[1] / count) as f64).sqrt().ceil() as usize;
        let (rows, columns) = (height / sy, width / sx);
        let into = rows * columns;
        let merged = ((count as f64 * ratio) as usize).min(count - into);
        if downsample > max_downsample || merged == 0 || into == 0 {
            return None;
        }
        let chosen = self.choose(into);
        let is_target = |at: usize| {
            let (y, x) = (at / width, at % width);
            let (row, column) = (y / sy, x / sx);
            row < rows && column < columns && chosen[row * columns + column] == (y % sy) * sx + x % sx
        };
        let (targets, sources): (Vec<usize>, Vec<usize>) = (0..count).partition(|&at| is_target(at));
        Some(Merge::new(tokens, &sources, &targets, merged))
    }

    /// A place in each cell.
    fn choose(&self, cells: usize) -> Vec<usize> {
        let TokenMerging { sx, sy, is_seeded, .. } = self.settings;
        if !is_seeded {
            return vec![0; cells];
        }
        let drawn = self.random.borrow_mut().uniform(cells);
        drawn.into_iter().map(|value| ((value * (sx * sy) as f32) as usize).min(sx * sy - 1)).collect()
    }
}

/// Which tokens become one.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    /// Places of the tokens that stay themselves, where some do, of those that others are merged into, and of those that are,
    /// each `[batch, tokens]`.
    unmerged: Option<Tensor<2, Int>>,
    targets: Tensor<2, Int>,
    sources: Tensor<2, Int>,
    /// Into which target each source goes, `[batch, merged]`.
    into: Tensor<2, Int>,
}

impl Merge {
    /// The `merged` sources that are closest to a target, each by the cosine.
    fn new(tokens: &Tensor<3>, sources: &[usize], targets: &[usize], merged: usize) -> Self {
        let [batch, ..] = tokens.dims();
        let device = tokens.device();
        let (sources, targets) = (places(sources, batch, &device), places(targets, batch, &device));
        let unit = tokens.clone() / tokens.clone().square().sum_dim(2).sqrt();
        let ([_, count], [_, columns]) = (sources.dims(), targets.dims());
        let against = at(unit.clone(), &targets).swap_dims(1, 2);
        let (closest, nearest): (Vec<_>, Vec<_>) = parts(count, batch * columns)
            .map(|(from, length)| {
                let some = at(unit.clone(), &sources.clone().narrow(1, from, length));
                some.matmul(against.clone()).max_dim_with_indices(2)
            })
            .unzip();
        let order = descending(Tensor::cat(closest, 1).reshape([batch, count]));
        let nearest = Tensor::cat(nearest, 1).reshape([batch, count]);
        let first = order.clone().narrow(1, 0, merged);
        let rest = (merged < count).then(|| order.narrow(1, merged, count - merged));
        Self {
            into: nearest.gather(1, first.clone()),
            unmerged: rest.map(|rest| sources.clone().gather(1, rest)),
            sources: sources.gather(1, first),
            targets,
        }
    }

    /// # Shapes
    ///
    /// - tokens: `[batch, tokens, channels]`
    /// - output: `[batch, tokens - merged, channels]`
    pub(super) fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, channels] = tokens.dims();
        let [_, count] = self.targets.dims();
        let targets = at(tokens.clone(), &self.targets);
        let sources = at(tokens.clone(), &self.sources);
        let into = wide(&self.into, channels);
        let sums = targets.scatter(1, into, sources, IndexingUpdateOp::Add);
        let [_, merged] = self.into.dims();
        let device = tokens.device();
        let ones = |length| Tensor::<2>::ones([batch, length], &device);
        let counts = ones(count).scatter(1, self.into.clone(), ones(merged), IndexingUpdateOp::Add);
        let means = sums / counts.reshape([batch, count, 1]);
        match &self.unmerged {
            Some(unmerged) => Tensor::cat(vec![at(tokens, unmerged), means], 1),
            None => means,
        }
    }

    /// Every token as the one that it was merged into.
    ///
    /// # Shapes
    ///
    /// - merged: `[batch, tokens - merged, channels]`
    /// - output: `[batch, tokens, channels]`
    pub(super) fn back(&self, merged: Tensor<3>) -> Tensor<3> {
        let [batch, _, channels] = merged.dims();
        let [[_, targets], [_, sources]] = [self.targets.dims(), self.sources.dims()];
        let alone = self.unmerged.as_ref().map_or(0, |unmerged| unmerged.dims()[1]);
        let own = merged.clone().narrow(1, alone, targets);
        let shared = at(own, &self.into);
        let all = Tensor::cat(vec![merged, shared], 1);
        let places = self.unmerged.iter().chain([&self.targets, &self.sources]).cloned().collect();
        let places = Tensor::cat(places, 1);
        let empty = Tensor::zeros([batch, alone + targets + sources, channels], &all.device());
        empty.scatter(1, wide(&places, channels), all, IndexingUpdateOp::Add)
    }
}

fn places(places: &[usize], batch: usize, device: &Device) -> Tensor<2, Int> {
    let values: Vec<i32> = places.iter().map(|&place| place as i32).collect();
    let row = Tensor::<2, Int>::from_data(TensorData::new(values, [1, places.len()]), device);
    row.repeat_dim(0, batch)
}

/// The same place for every channel.
fn wide(places: &Tensor<2, Int>, channels: usize) -> Tensor<3, Int> {
    let [batch, count] = places.dims();
    places.clone().reshape([batch, count, 1]).repeat_dim(2, channels)
}

fn at(tokens: Tensor<3>, places: &Tensor<2, Int>) -> Tensor<3> {
    let [_, _, channels] = tokens.dims();
    tokens.gather(1, wide(places, channels))
}

/// Begins and lengths of rows that are compared with `columns` others at once.
fn parts(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let length = (AT_ONCE / columns.max(1)).max(1);
    (0..rows).step_by(length).map(move |from| (from, length.min(rows - from)))
}

/// Places in the order of falling values.
fn descending(values: Tensor<2>) -> Tensor<2, Int> {
    if kernels::is_queued(&values.device()) { by_ranks(&values) } else { values.argsort_descending(1) }
}

/// The same by counting which are larger: sorting reads from the device, which a browser does not wait for.
fn by_ranks(values: &Tensor<2>) -> Tensor<2, Int> {
    let [batch, count] = values.dims();
    let places = Tensor::<1, Int>::arange(0..count as i64, &values.device()).reshape([1, count]).repeat_dim(0, batch);
    let ranks = parts(count, batch * count).map(|(from, length)| {
        let down = |values: &Tensor<2>| {
            values.clone().narrow(1, from, length).reshape([batch, length, 1]).repeat_dim(2, count)
        };
        let across = |values: &Tensor<2>| values.clone().reshape([batch, 1, count]).repeat_dim(1, length);
        let (own, other) = (down(values), across(values));
        let is_larger = other.clone().greater(own.clone()).int();
        // Equals keep their order, so that every rank is taken once.
        let numbers = places.clone().float();
        let is_before = other.equal(own).int() * across(&numbers).lower(down(&numbers)).int();
        (is_larger + is_before).sum_dim(2).reshape([batch, length])
    });
    let ranks = Tensor::cat(ranks.collect(), 1);
    places.zeros_like().scatter(1, ranks, places, IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(values: Vec<f32>, shape: [usize; 3]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn ranks_order_as_sorting_does() {
        let values = Tensor::<2>::from_data([[0.3, -1.0, 2.0, 0.7], [5.0, 1.0, 1.5, 1.25]], &Device::flex());
        let ranked = by_ranks(&values).into_data();
        ranked.assert_eq(&values.argsort_descending(1).into_data(), false);
        let equal = Tensor::<2>::ones([1, 3], &Device::flex());
        by_ranks(&equal).into_data().assert_eq(&TensorData::from([[0, 1, 2]]), false);
        // More than are compared at once.
        let count = 2000;
        assert!(
            parts(count, count).count() > 1 && parts(count, count).map(|(_, length)| length).sum::<usize>() == count
        );
        let many: Vec<f32> = (0..count).map(|at| (at * 7919 % count) as f32).collect();
        let many = Tensor::<2>::from_data(TensorData::new(many, [1, count]), &Device::flex());
        by_ranks(&many).into_data().assert_eq(&many.argsort_descending(1).into_data(), false);
    }

    #[test]
    fn no_comparison_is_larger_than_one_bound_whatever_the_number_of_tokens() {
        for tokens in [1, 64, 4096, 16_384, 65_536] {
            let (sources, targets) = (tokens - tokens / 4, tokens / 4);
            for (rows, columns) in [(sources, targets), (sources, 2 * sources)] {
                let mut next = 0;
                for (from, length) in parts(rows, columns) {
                    assert!(from == next && length > 0 && length * columns <= AT_ONCE.max(columns));
                    next = from + length;
                }
                assert_eq!(next, rows);
            }
        }
    }

    #[test]
    fn what_is_equal_is_merged_and_comes_back_as_it_was() {
        // Cells of two equal pixels each.
        let values: Vec<f32> = (0..8).flat_map(|at| [(at / 2) as f32 + 1.0, 1.0, -(at as f32 / 2.0).floor()]).collect();
        let all = tokens(values, [1, 8, 3]);
        for is_seeded in [false, true] {
            let settings = TokenMerging { ratio: 0.5, sx: 2, sy: 1, is_seeded, ..TokenMerging::default() };
            let merge = TokenMerger::new(settings).merge(&all, [1, 8], [1, 8]).unwrap();
            let merged = merge.forward(all.clone());
            assert_eq!(merged.dims(), [1, 4, 3]);
            merge.back(merged).into_data().assert_approx_eq::<f32>(&all.to_data(), burn::tensor::Tolerance::default());
        }
    }

    #[test]
    fn layers_that_are_too_deep_or_too_small_are_left() {
        let merger = TokenMerger::new(TokenMerging { is_seeded: false, ..TokenMerging::default() });
        let all = |count: usize| tokens((0..count * 2).map(|at| at as f32 + 1.0).collect(), [1, count, 2]);
        assert!(merger.merge(&all(16), [4, 4], [4, 4]).is_some());
        assert!(merger.merge(&all(16), [4, 4], [8, 8]).is_none());
        assert!(merger.merge(&all(1), [1, 1], [1, 1]).is_none());
        let none = TokenMerger::new(TokenMerging { ratio: 0.0, ..TokenMerging::default() });
        assert!(none.merge(&all(16), [4, 4], [4, 4]).is_none());
    }
}
