//! The kernels, and how they are started.

use super::{
    Tile, WIDEST,
    wide::{Wide, wide_attention_kernel},
};
use burn::backend::TensorMetadata as _;
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// A score of what is not there: low enough to weigh nothing, and still a number.
pub(super) const NOTHING: f32 = -1e30;

/// Tokens and heads, as the kernels are told them.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub(super) struct Sizes {
    pub queries: usize,
    pub keys: usize,
    pub heads: usize,
    /// Vectors of a head.
    pub vectors: usize,
    pub scale: f32,
}

/// A head of the narrow kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Head {
    vectors: usize,
    /// Values of a vector.
    lanes: usize,
}

/// Starts a kernel on contiguous tensors.
pub fn launch([query, key, value]: [CubeTensor; 3], mask: Option<CubeTensor>, heads: usize) -> CubeTensor {
    let shape = query.shape();
    let [batch, queries, width] = shape.dims();
    let [_, keys, _] = key.shape().dims();
    let depth = width / heads;
    let client = query.client.clone();
    let output = empty_device_contiguous_dtype(client.clone(), query.device.clone(), shape, query.dtype);
    // Values are read four at a time, or one by one where a head does not begin at a multiple of four.
    let lanes = if depth.is_multiple_of(4) { 4 } else { 1 };
    let sizes = SizesLaunch::new(queries, keys, heads, depth / lanes, (depth as f32).sqrt().recip());
    let wide = (depth > WIDEST).then(|| Wide::new(depth, lanes));
    let each = wide.map_or(Tile::queries(depth) * Tile::THREADS as usize, |wide| wide.queries);
    let count = CubeCount::Static(queries.div_ceil(each) as u32, heads as u32, batch as u32);
    let mask = mask.map(CubeTensor::into_buffer_arg).into();
    let threads = CubeDim::new_1d(Tile::THREADS);
    let [query, key, value] = [query, key, value].map(CubeTensor::into_buffer_arg);
    let target = output.clone().into_buffer_arg();
    if let Some(wide) = wide {
        wide_attention_kernel::launch(&client, count, threads, lanes, query, key, value, mask, target, sizes, wide);
    } else {
        let head = Head { vectors: depth / lanes, lanes };
        attention_kernel::launch(&client, count, threads, lanes, query, key, value, mask, target, sizes, head);
    }
    output
}

#[cube(launch)]
fn attention_kernel<N: Size>(
    query: &[Vector<f32, N>],
    key: &[Vector<f32, N>],
    value: &[Vector<f32, N>],
    mask: ComptimeOption<&[f32]>,
    output: &mut [Vector<f32, N>],
    sizes: Sizes,
    #[comptime] head_of: Head,
) {
    let (vectors, lanes) = comptime![(head_of.vectors, head_of.lanes)];
    let queries = comptime![Tile::queries(lanes * vectors)];
    let first = ABSOLUTE_POS_X as usize * queries;
    if first >= sizes.queries {
        terminate!();
    }
    let width = sizes.heads * vectors;
    let head = CUBE_POS_Y as usize * vectors;
    let batch = CUBE_POS_Z as usize;

    let mut sums = Array::<Vector<f32, N>>::new(comptime![queries * vectors]);
    let mut starts = Array::<usize>::new(queries);
    let mut highest = Array::<f32>::new(queries);
    let mut weights = Array::<f32>::new(queries);
    #[unroll]
    for own in 0..queries {
        // One beyond the last computes the last again, and writes nothing.
        starts[own] = (batch * sizes.queries + min(first + own, sizes.queries - 1)) * width + head;
        highest[own] = NOTHING.runtime();
        weights[own] = 0.0f32.runtime();
        for vector in 0..vectors {
            sums[own * vectors + vector] = Vector::new(0.0f32.runtime());
        }
    }

    let keys = comptime![Tile::KEYS];
    let mut scores = Array::<f32>::new(comptime![queries * keys]);
    for block in range_stepped(0usize, sizes.keys, keys) {
        score(query, key, &mask, &mut scores, starts, &sizes, batch, head, block, first, head_of);
        #[unroll]
        for own in 0..queries {
            let before = highest[own];
            let mut most = before;
            #[unroll]
            for one in 0..keys {
                most = max(most, scores[own * keys + one]);
            }
            let kept = (before - most).exp();
            let mut sum = weights[own] * kept;
            #[unroll]
            for one in 0..keys {
                let weight = (scores[own * keys + one] - most).exp();
                scores[own * keys + one] = weight;
                sum += weight;
            }
            highest[own] = most;
            weights[own] = sum;
            for vector in 0..vectors {
                sums[own * vectors + vector] *= Vector::new(kept);
            }
        }
        #[unroll]
        for one in 0..keys {
            let at = (batch * sizes.keys + min(block + one, sizes.keys - 1)) * width + head;
            for vector in 0..vectors {
                let values = value[at + vector];
                #[unroll]
                for own in 0..queries {
                    sums[own * vectors + vector] += Vector::new(scores[own * keys + one]) * values;
                }
            }
        }
    }

    #[unroll]
    for own in 0..queries {
        if first + own < sizes.queries {
            let share = Vector::new(1.0f32 / weights[own]);
            for vector in 0..vectors {
                output[starts[own] + vector] = sums[own * vectors + vector] * share;
            }
        }
    }
}

/// Scores of a thread's queries with a block of keys; keys beyond the last weigh nothing.
#[cube]
fn score<N: Size>(
    query: &[Vector<f32, N>],
    key: &[Vector<f32, N>],
    mask: &ComptimeOption<&[f32]>,
    scores: &mut Array<f32>,
    starts: Array<usize>,
    sizes: &Sizes,
    batch: usize,
    head: usize,
    block: usize,
    first: usize,
    #[comptime] head_of: Head,
) {
    let (vectors, lanes) = comptime![(head_of.vectors, head_of.lanes)];
    let queries = comptime![Tile::queries(lanes * vectors)];
    let keys = comptime![Tile::KEYS];
    let width = sizes.heads * vectors;
    let mut partial = Array::<Vector<f32, N>>::new(comptime![queries * keys]);
    #[unroll]
    for index in 0..comptime![queries * keys] {
        partial[index] = Vector::new(0.0f32.runtime());
    }
    for vector in 0..vectors {
        let mut asked = Array::<Vector<f32, N>>::new(queries);
        #[unroll]
        for own in 0..queries {
            asked[own] = query[starts[own] + vector];
        }
        #[unroll]
        for one in 0..keys {
            let at = (batch * sizes.keys + min(block + one, sizes.keys - 1)) * width + head;
            let found = key[at + vector];
            #[unroll]
            for own in 0..queries {
                partial[own * keys + one] += asked[own] * found;
            }
        }
    }
    #[unroll]
    for own in 0..queries {
        #[unroll]
        for one in 0..keys {
            let sum = sum_of(partial[own * keys + one], lanes);
            let row = min(first + own, sizes.queries - 1) * sizes.keys;
            let column = min(block + one, sizes.keys - 1);
            let added: ComptimeOption<f32> = mask.as_ref().map(|mask| mask[row + column]);
            let seen = max(sum * sizes.scale + added.unwrap_or(0.0f32.runtime()), NOTHING.runtime());
            scores[own * keys + one] = select(block + one < sizes.keys, seen, NOTHING.runtime());
        }
    }
}

/// The sum of a vector's values.
#[cube]
pub(super) fn sum_of<N: Size>(vector: Vector<f32, N>, #[comptime] lanes: usize) -> f32 {
    let mut sum = vector.extract(0usize);
    #[unroll]
    for lane in 1..lanes {
        sum += vector.extract(lane);
    }
    sum
}
