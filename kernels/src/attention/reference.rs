//! The same in plain loops, in f64, with every score in memory.

/// Tokens, heads and their values.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Sequences.
    pub batch: usize,
    /// Tokens that ask.
    pub queries: usize,
    /// Tokens that are asked.
    pub keys: usize,
    /// Heads, side by side.
    pub heads: usize,
    /// Values of a head.
    pub depth: usize,
}

/// `softmax(Q Kᵀ / sqrt(d) + mask) V`; an empty mask is none.
pub fn attend(query: &[f32], key: &[f32], value: &[f32], mask: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { batch, queries, keys, heads, depth } = sizes;
    let width = heads * depth;
    let mut output = vec![0.0; batch * queries * width];
    for index in 0..batch * queries * heads {
        let (n, asking, head) = (index / (queries * heads), index / heads % queries, index % heads);
        let row = |values: &'_ [f32], tokens: usize, token: usize| {
            let start = (n * tokens + token) * width + head * depth;
            values[start..start + depth].iter().copied().map(f64::from).collect::<Vec<_>>()
        };
        let own = row(query, queries, asking);
        let scores: Vec<f64> = (0..keys)
            .map(|token| {
                let dot: f64 = own.iter().zip(row(key, keys, token)).map(|(a, b)| a * b).sum();
                dot / (depth as f64).sqrt() + mask.get(asking * keys + token).copied().map_or(0.0, f64::from)
            })
            .collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for (token, weight) in weights.iter().enumerate() {
            let start = (n * queries + asking) * width + head * depth;
            for (to, from) in output[start..start + depth].iter_mut().zip(row(value, keys, token)) {
                *to += weight / sum * from;
            }
        }
    }
    output.into_iter().map(|value: f64| value as f32).collect()
}
