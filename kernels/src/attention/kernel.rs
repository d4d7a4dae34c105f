//! The kernel, and how it is started.

use super::Tile;
use burn::backend::TensorMetadata as _;
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// A score of what is not there: low enough to weigh nothing, and still a number.
const NOTHING: f32 = -1e30;

/// Tokens and heads, as the kernel is told them.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Sizes {
    queries: usize,
    keys: usize,
    heads: usize,
    scale: f32,
}

/// Starts the kernel on contiguous tensors.
pub fn launch([query, key, value]: [CubeTensor; 3], mask: Option<CubeTensor>, heads: usize) -> CubeTensor {
    let shape = query.shape();
    let [batch, queries, width] = shape.dims();
    let [_, keys, _] = key.shape().dims();
    let depth = width / heads;
    let client = query.client.clone();
    let output = empty_device_contiguous_dtype(client.clone(), query.device.clone(), shape, query.dtype);
    let each = Tile::queries(depth) * Tile::THREADS as usize;
    attention_kernel::launch(
        &client,
        CubeCount::Static(queries.div_ceil(each) as u32, heads as u32, batch as u32),
        CubeDim::new_1d(Tile::THREADS),
        query.into_buffer_arg(),
        key.into_buffer_arg(),
        value.into_buffer_arg(),
        mask.map(CubeTensor::into_buffer_arg).into(),
        output.clone().into_buffer_arg(),
        SizesLaunch::new(queries, keys, heads, (depth as f32).sqrt().recip()),
        depth / 4,
    );
    output
}

#[cube(launch)]
fn attention_kernel(
    query: &[Vector<f32, Const<4>>],
    key: &[Vector<f32, Const<4>>],
    value: &[Vector<f32, Const<4>>],
    mask: ComptimeOption<&[f32]>,
    output: &mut [Vector<f32, Const<4>>],
    sizes: Sizes,
    #[comptime] vectors: usize,
) {
    let queries = comptime![Tile::queries(4 * vectors)];
    let first = ABSOLUTE_POS_X as usize * queries;
    if first >= sizes.queries {
        terminate!();
    }
    let width = sizes.heads * vectors;
    let head = CUBE_POS_Y as usize * vectors;
    let batch = CUBE_POS_Z as usize;

    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime![queries * vectors]);
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
        score(query, key, &mask, &mut scores, starts, &sizes, batch, head, block, first, vectors);
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
fn score(
    query: &[Vector<f32, Const<4>>],
    key: &[Vector<f32, Const<4>>],
    mask: &ComptimeOption<&[f32]>,
    scores: &mut Array<f32>,
    starts: Array<usize>,
    sizes: &Sizes,
    batch: usize,
    head: usize,
    block: usize,
    first: usize,
    #[comptime] vectors: usize,
) {
    let queries = comptime![Tile::queries(4 * vectors)];
    let keys = comptime![Tile::KEYS];
    let width = sizes.heads * vectors;
    let mut partial = Array::<Vector<f32, Const<4>>>::new(comptime![queries * keys]);
    #[unroll]
    for index in 0..comptime![queries * keys] {
        partial[index] = Vector::new(0.0f32.runtime());
    }
    for vector in 0..vectors {
        let mut asked = Array::<Vector<f32, Const<4>>>::new(queries);
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
            let four = partial[own * keys + one];
            let sum = (four.extract(0usize) + four.extract(1usize)) + (four.extract(2usize) + four.extract(3usize));
            let row = min(first + own, sizes.queries - 1) * sizes.keys;
            let column = min(block + one, sizes.keys - 1);
            let added: ComptimeOption<f32> = mask.as_ref().map(|mask| mask[row + column]);
            let seen = max(sum * sizes.scale + added.unwrap_or(0.0f32.runtime()), NOTHING.runtime());
            scores[own * keys + one] = select(block + one < sizes.keys, seen, NOTHING.runtime());
        }
    }
}
