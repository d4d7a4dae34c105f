//! Group norm, with or without `SiLU` after it, in one pass.

use super::lanes::{add, sigmoid, statistics, sum, vectorised};
use rayon::prelude::*;

/// Sides of a group norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormShape {
    /// Channels.
    pub channels: usize,
    /// Pixels of a channel.
    pub area: usize,
    /// Groups of channels.
    pub groups: usize,
    /// Keeps the division sound.
    pub epsilon: f32,
    /// Whether `SiLU` follows.
    pub silu: bool,
}

impl GroupNormShape {
    const fn per_group(&self) -> usize {
        self.channels / self.groups
    }

    const fn sample(&self) -> usize {
        self.channels * self.area
    }
}

/// `[batch, channels, area]`.
pub fn forward(input: &[f32], weight: &[f32], bias: &[f32], shape: &GroupNormShape) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    output.par_chunks_mut(shape.sample()).zip(input.par_chunks(shape.sample())).for_each(|(output, input)| {
        vectorised(
            #[inline(always)]
            || forward_sample(output, input, weight, bias, shape),
        );
    });
    output
}

#[inline(always)]
fn forward_sample(output: &mut [f32], input: &[f32], weight: &[f32], bias: &[f32], shape: &GroupNormShape) {
    let group = shape.per_group() * shape.area;
    for (index, (output, input)) in output.chunks_exact_mut(group).zip(input.chunks_exact(group)).enumerate() {
        let (mean, scale) = statistics(input, shape.epsilon);
        let channels = output.chunks_exact_mut(shape.area).zip(input.chunks_exact(shape.area));
        for (channel, (output, input)) in channels.enumerate() {
            let channel = index * shape.per_group() + channel;
            let factor = weight[channel] * scale;
            let offset = bias[channel] - mean * factor;
            for (output, input) in output.iter_mut().zip(input) {
                let value = input * factor + offset;
                *output = if shape.silu { value * sigmoid(value) } else { value };
            }
        }
    }
}

/// Gradients of input, weight and bias.
pub fn backward(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    gradient: &[f32],
    shape: &GroupNormShape,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut of_input = vec![0.0; input.len()];
    let parts: Vec<_> = of_input
        .par_chunks_mut(shape.sample())
        .zip(input.par_chunks(shape.sample()))
        .zip(gradient.par_chunks(shape.sample()))
        .map(|((of_input, input), gradient)| {
            vectorised(
                #[inline(always)]
                || backward_sample(of_input, input, weight, bias, gradient, shape),
            )
        })
        .collect();
    let (mut of_weight, mut of_bias) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
    for (weights, biases) in parts {
        add(&mut of_weight, &weights);
        add(&mut of_bias, &biases);
    }
    (of_input, of_weight, of_bias)
}

/// With `n` the normed input and `d` the gradient behind γ: `dx = s (γ d - mean(γ d) - n mean(γ d n))`.
#[inline(always)]
fn backward_sample(
    of_input: &mut [f32],
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    gradient: &[f32],
    shape: &GroupNormShape,
) -> (Vec<f32>, Vec<f32>) {
    let (mut of_weight, mut of_bias) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
    let (per_group, area) = (shape.per_group(), shape.area);
    for group in 0..shape.groups {
        let range = group * per_group * area..(group + 1) * per_group * area;
        let (input, of_input) = (&input[range.clone()], &mut of_input[range.clone()]);
        let gradient = &gradient[range];
        let (mean, scale) = statistics(input, shape.epsilon);
        let (mut sum_d, mut sum_dn) = (0.0, 0.0);
        for local in 0..per_group {
            let channel = group * per_group + local;
            let (gamma, beta) = (weight[channel], bias[channel]);
            let pixels = local * area..(local + 1) * area;
            let (input, gradient) = (&input[pixels.clone()], &gradient[pixels.clone()]);
            let behind = &mut of_input[pixels];
            for ((behind, x), gradient) in behind.iter_mut().zip(input).zip(gradient) {
                *behind = if shape.silu {
                    let value = (x - mean) * scale * gamma + beta;
                    let gate = sigmoid(value);
                    gradient * gate * (1.0 + value * (1.0 - gate))
                } else {
                    *gradient
                };
            }
            let behind = &*behind;
            let of_beta = sum(
                area,
                #[inline(always)]
                |index| behind[index],
            );
            let of_gamma = sum(
                area,
                #[inline(always)]
                |index| behind[index] * (input[index] - mean),
            ) * scale;
            (of_weight[channel], of_bias[channel]) = (of_gamma, of_beta);
            sum_d += of_beta * gamma;
            sum_dn += of_gamma * gamma;
        }
        let count = (per_group * area) as f32;
        let (mean_d, mean_dn) = (sum_d / count, sum_dn / count);
        for local in 0..per_group {
            let gamma = weight[group * per_group + local];
            let pixels = local * area..(local + 1) * area;
            for (of_input, x) in of_input[pixels.clone()].iter_mut().zip(&input[pixels]) {
                let normed = (x - mean) * scale;
                *of_input = scale * (gamma * *of_input - mean_d - normed * mean_dn);
            }
        }
    }
    (of_weight, of_bias)
}
