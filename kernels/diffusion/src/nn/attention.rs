//! Scaled dot-product attention over heads.

use burn::tensor::{Tensor, activation::softmax};
use kernels::attention;

/// Score matrices above this many values are computed in slices of the queries, so that memory stays bounded.
const SCORES_AT_ONCE: usize = 16 << 20;

/// `softmax(Q Kᵀ / sqrt(d) + mask) V`, for `heads` heads side by side in the last axis.
///
/// # Shapes
///
/// - query: `[batch, queries, heads * d]`
/// - key, value: `[batch, keys, heads * d]`
/// - mask: `[queries, keys]`, added to the scores
/// - output: `[batch, queries, heads * d]`
///
/// # Panics
///
/// When there are no queries.
pub fn attend(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>, heads: usize, mask: Option<&Tensor<2>>) -> Tensor<3> {
    let [batch, queries, width] = query.dims();
    let [_, keys, _] = key.dims();
    let depth = width / heads;
    if kernels::handles(&query) && attention::knows(depth) {
        return attention::attend(query, key, value, heads, mask.cloned());
    }
    let split = |input: Tensor<3>, tokens: usize| input.reshape([batch, tokens, heads, depth]).swap_dims(1, 2);

    let query = split(query, queries) * (1.0 / (depth as f64).sqrt());
    let key = split(key, keys).swap_dims(2, 3);
    let value = split(value, keys);

    let rows = (SCORES_AT_ONCE / (batch * heads * keys).max(1)).clamp(1, queries);
    let parts = (0..queries)
        .step_by(rows)
        .map(|start| {
            let count = rows.min(queries - start);
            let part = if count == queries { query.clone() } else { query.clone().narrow(2, start, count) };
            let scores = part.matmul(key.clone());
            let scores = match mask {
                Some(mask) => scores + mask.clone().narrow(0, start, count).unsqueeze(),
                None => scores,
            };
            softmax(scores, 3).matmul(value.clone())
        })
        .collect::<Vec<_>>();
    let output = if parts.len() == 1 { parts.into_iter().next() } else { Some(Tensor::cat(parts, 2)) };
    output.expect("there is at least one query").swap_dims(1, 2).reshape([batch, queries, width])
}
