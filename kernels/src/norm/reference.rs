//! The same in plain loops, in f64.

use super::Norm;

/// Rows of `input` in a row's own mean and variance, times `weight`, plus `bias`.
pub fn norm(input: &[f32], weight: &[f32], bias: &[f32], norm: Norm) -> Vec<f32> {
    let Norm { length, groups, area, epsilon, silu } = norm;
    let rows = input.chunks_exact(length).enumerate();
    rows.flat_map(|(row, values)| {
        let first_channel = row % groups * (length / area);
        let mean = values.iter().copied().map(f64::from).sum::<f64>() / length as f64;
        let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / length as f64;
        let scale = (variance + f64::from(epsilon)).sqrt().recip();
        values.iter().enumerate().map(move |(at, &value)| {
            let channel = first_channel + at / area;
            let normed = (f64::from(value) - mean) * scale * f64::from(weight[channel]) + f64::from(bias[channel]);
            (if silu { normed / (1.0 + (-normed).exp()) } else { normed }) as f32
        })
    })
    .collect()
}
