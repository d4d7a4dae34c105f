//! The same in plain loops, in f64.

use super::{Activation, Conv3x3};

/// Sides and channels of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Pictures.
    pub batch: usize,
    /// Channels of the input.
    pub input: usize,
    /// Channels of the output.
    pub output: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
}

/// The output, `[batch, out, height', width']`, of `input` `[batch, in, height, width]`, `weight` `[out, in, 3, 3]`, `bias`
/// `[out]` or `[batch, out]` and, where it is not empty, `residual` as the output.
pub fn conv3x3(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    residual: &[f32],
    sizes: Sizes,
    options: Conv3x3,
) -> Vec<f32> {
    let Sizes { batch, input: channels, output, height, width } = sizes;
    let (step, scale) = (1 + usize::from(options.halve), 1 + usize::from(options.double));
    let pixel = |n: usize, channel: usize, y: usize, x: usize| {
        let inside = (1..=height * scale).contains(&y) && (1..=width * scale).contains(&x);
        let at = || ((n * channels + channel) * height + (y - 1) / scale) * width + (x - 1) / scale;
        if inside { f64::from(input[at()]) } else { 0.0 }
    };
    let (rows, columns) = (options.output_side(height), options.output_side(width));
    let mut result = Vec::with_capacity(batch * output * rows * columns);
    for (n, out, y, x) in places([batch, output, rows, columns]) {
        let mut sum = f64::from(bias[(n * output + out) % bias.len()])
            + residual.get(result.len()).copied().map_or(0.0, f64::from);
        for (channel, ky, kx, _) in places([channels, 3, 3, 1]) {
            let weight = f64::from(weight[((out * channels + channel) * 3 + ky) * 3 + kx]);
            sum += weight * pixel(n, channel, y * step + ky, x * step + kx);
        }
        result.push(match options.activation {
            None => sum,
            Some(Activation::Silu) => sum / (1.0 + (-sum).exp()),
            Some(Activation::Relu) => sum.max(0.0),
        } as f32);
    }
    result
}

/// Every place of a tensor, the last axis fastest.
fn places([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a).flat_map(move |a| (0..b).flat_map(move |b| (0..c).flat_map(move |c| (0..d).map(move |d| (a, b, c, d)))))
}
