//! Scaled dot-product attention with the softmax computed as it goes: no matrix of scores is ever in memory.
//!
//! After Milakov and Gimelshein (2018) and Dao et al. (2022). Heads are read where they lie side by side, without being moved.
//!
//! A thread holds the outputs of its queries and goes through the keys, eight at a time; all threads of a workgroup read the same
//! keys and values, of one head. There is no workgroup memory and no barrier. Loops over a head's values stay loops: unrolled, the
//! shader took minutes to compile. Of heads over [`WIDEST`] values a workgroup's threads share the scores and divide the output (`wide.rs`).
//!
//! Scores and sums are f32 on every adapter: some models' scores are beyond the range of half precision (Stable Diffusion 2.1's among them).

mod kernel;
pub mod reference;
#[cfg(test)]
pub(crate) mod tests;
mod wide;

use burn::{
    backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};
use wide::Wide;

/// Values of a head that one thread holds in registers, at most; with 160 it was slower than onnxruntime-web (`tests/bench/RESULTS.md`).
const WIDEST: usize = 128;

/// What a thread computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile;

impl Tile {
    /// Keys at a time.
    const KEYS: usize = 8;
    /// Threads of a workgroup.
    const THREADS: u32 = 64;

    /// Queries of a thread: wide heads leave room for one.
    const fn queries(depth: usize) -> usize {
        if depth <= 80 { 2 } else { 1 }
    }
}

/// Attention that a CubeCL device and the CPU have.
#[backend_extension(Cube, Flex)]
pub trait AttentionOps: Backend {
    /// See [`attend`], without a mask.
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;
    /// See [`attend`].
    fn attention_masked(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;
}

/// Whether [`attend`] knows heads of this many values.
pub const fn knows(depth: usize) -> bool {
    depth > 0 && depth <= Wide::MOST
}

/// `softmax(Q Kᵀ / sqrt(d) + mask) V`, on a device that [`handles`](super::handles) names, for heads that it [`knows`].
///
/// # Shapes
///
/// - query: `[batch, queries, heads * d]`
/// - key, value: `[batch, keys, heads * d]`
/// - mask: `[queries, keys]`, added to the scores; every query may see at least one key
/// - output: `[batch, queries, heads * d]`
pub fn attend(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize, mask: Option<Tensor<2>>) -> Tensor<3> {
    let (query, key, value) = (query.into_dispatch(), key.into_dispatch(), value.into_dispatch());
    Tensor::from_dispatch(match mask {
        Some(mask) => Dispatch::attention_masked(query, key, value, mask.into_dispatch(), heads),
        None => Dispatch::attention(query, key, value, heads),
    })
}

impl AttentionOps for CubeBackend {
    fn attention(query: CubeTensor, key: CubeTensor, value: CubeTensor, heads: usize) -> CubeTensor {
        kernel::launch([query, key, value].map(into_contiguous), None, heads)
    }

    fn attention_masked(
        query: CubeTensor,
        key: CubeTensor,
        value: CubeTensor,
        mask: CubeTensor,
        heads: usize,
    ) -> CubeTensor {
        kernel::launch([query, key, value].map(into_contiguous), Some(into_contiguous(mask)), heads)
    }
}
