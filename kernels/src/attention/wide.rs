//! Heads that are too wide for one thread's registers, such as an autoencoder's only one.

use super::{
    Tile,
    kernel::{NOTHING, Sizes, sum_of},
};
use cubecl::prelude::*;

/// How a workgroup divides its queries and their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wide {
    /// Values of a vector.
    lanes: usize,
    /// Queries of a workgroup.
    pub queries: usize,
    /// Vectors of each query's output that a thread holds, as many threads apart.
    held: usize,
}

impl Wide {
    /// Keys at a time.
    const KEYS: usize = 32;
    /// Output vectors that a thread holds, at most.
    const HELD: usize = 32;
    /// Values of a head, at most.
    pub const MOST: usize = 1024;

    pub fn new(depth: usize, lanes: usize) -> Self {
        let held = (depth / lanes).div_ceil(Tile::THREADS as usize).next_power_of_two();
        Self { lanes, queries: (Self::HELD / held).clamp(2, 16), held }
    }

    /// Threads that share the scores of a query.
    const fn threads(self) -> usize {
        Tile::THREADS as usize / self.queries
    }

    /// Scores of a thread.
    const fn keys(self) -> usize {
        Self::KEYS / self.threads()
    }
}

/// A workgroup's threads divide the scores of its queries with a block of keys, and then the values of the output.
#[cube(launch)]
pub(super) fn wide_attention_kernel<N: Size>(
    query: &[Vector<f32, N>],
    key: &[Vector<f32, N>],
    value: &[Vector<f32, N>],
    mask: ComptimeOption<&[f32]>,
    output: &mut [Vector<f32, N>],
    sizes: Sizes,
    #[comptime] plan: Wide,
) {
    let (queries, held, keys) = comptime![(plan.queries, plan.held, Wide::KEYS)];
    let threads = comptime![Tile::THREADS as usize];
    let thread = UNIT_POS as usize;
    let first = CUBE_POS_X as usize * queries;
    let head = CUBE_POS_Y as usize * sizes.vectors;
    let batch = CUBE_POS_Z as usize;
    let width = sizes.heads * sizes.vectors;

    let mut sums = Array::<Vector<f32, N>>::new(comptime![queries * held]);
    #[unroll]
    for sum in 0..comptime![queries * held] {
        sums[sum] = Vector::new(0.0f32.runtime());
    }
    let mut scores = Shared::<[f32]>::new_slice(comptime![queries * keys]);
    // What a query's sums so far are multiplied with.
    let mut kept = Shared::<[f32]>::new_slice(queries);
    // Of the query that the thread is to weigh.
    let mut highest = NOTHING.runtime();
    let mut weight = 0.0f32.runtime();
    for block in range_stepped(0usize, sizes.keys, keys) {
        score(query, key, &mask, &mut scores, &sizes, batch, head, block, first, plan);
        sync_cube();
        if thread < queries {
            let row = thread * keys;
            let mut most = highest;
            for one in 0..keys {
                most = max(most, scores[row + one]);
            }
            let factor = (highest - most).exp();
            weight *= factor;
            for one in 0..keys {
                let share = (scores[row + one] - most).exp();
                scores[row + one] = share;
                weight += share;
            }
            kept[thread] = factor;
            highest = most;
        }
        sync_cube();
        #[unroll]
        for own in 0..queries {
            let factor = Vector::new(kept[own]);
            #[unroll]
            for vector in 0..held {
                sums[own * held + vector] *= factor;
            }
        }
        for one in 0..keys {
            let at = (batch * sizes.keys + min(block + one, sizes.keys - 1)) * width + head;
            #[unroll]
            for vector in 0..held {
                let values = value[at + min(thread + comptime![vector * threads], sizes.vectors - 1)];
                #[unroll]
                for own in 0..queries {
                    sums[own * held + vector] += Vector::new(scores[own * keys + one]) * values;
                }
            }
        }
        // The scores must not be overwritten before everybody has read them.
        sync_cube();
    }
    if thread < queries {
        kept[thread] = 1.0f32 / weight;
    }
    sync_cube();
    #[unroll]
    for own in 0..queries {
        if first + own < sizes.queries {
            let share = Vector::new(kept[own]);
            let at = (batch * sizes.queries + first + own) * width + head;
            #[unroll]
            for vector in 0..held {
                let place = thread + comptime![vector * threads];
                if place < sizes.vectors {
                    output[at + place] = sums[own * held + vector] * share;
                }
            }
        }
    }
}

/// A thread's scores: some keys of one query. Keys beyond the last weigh nothing.
#[cube]
fn score<N: Size>(
    query: &[Vector<f32, N>],
    key: &[Vector<f32, N>],
    mask: &ComptimeOption<&[f32]>,
    scores: &mut Shared<[f32]>,
    sizes: &Sizes,
    batch: usize,
    head: usize,
    block: usize,
    first: usize,
    #[comptime] plan: Wide,
) {
    let keys = comptime![plan.keys()];
    let width = sizes.heads * sizes.vectors;
    let own = UNIT_POS as usize / comptime![plan.threads()];
    let one = UNIT_POS as usize % comptime![plan.threads()] * keys;
    let token = min(first + own, sizes.queries - 1);
    let asked = (batch * sizes.queries + token) * width + head;
    let mut starts = Array::<usize>::new(keys);
    let mut partial = Array::<Vector<f32, N>>::new(keys);
    #[unroll]
    for next in 0..keys {
        starts[next] = (batch * sizes.keys + min(block + one + next, sizes.keys - 1)) * width + head;
        partial[next] = Vector::new(0.0f32.runtime());
    }
    for vector in 0..sizes.vectors {
        let asked = query[asked + vector];
        #[unroll]
        for next in 0..keys {
            partial[next] += asked * key[starts[next] + vector];
        }
    }
    #[unroll]
    for next in 0..keys {
        let sum = sum_of(partial[next], comptime![plan.lanes]);
        let column = min(block + one + next, sizes.keys - 1);
        let added: ComptimeOption<f32> = mask.as_ref().map(|mask| mask[token * sizes.keys + column]);
        let seen = max(sum * sizes.scale + added.unwrap_or(0.0f32.runtime()), NOTHING.runtime());
        scores[own * comptime![Wide::KEYS] + one + next] =
            select(block + one + next < sizes.keys, seen, NOTHING.runtime());
    }
}
