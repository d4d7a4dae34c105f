//! Layer norm in one pass.

use super::lanes::{add, statistics, sum, vectorised};
use rayon::prelude::*;

/// Rows that one thread takes at a time.
const ROWS: usize = 256;

/// `[rows, width]`.
pub fn forward(input: &[f32], weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let width = weight.len();
    let mut output = vec![0.0; input.len()];
    output.par_chunks_mut(ROWS * width).zip(input.par_chunks(ROWS * width)).for_each(|(output, input)| {
        vectorised(
            #[inline(always)]
            || {
                for (output, input) in output.chunks_exact_mut(width).zip(input.chunks_exact(width)) {
                    let (mean, scale) = statistics(input, epsilon);
                    for (((output, input), weight), bias) in output.iter_mut().zip(input).zip(weight).zip(bias) {
                        *output = (input - mean) * scale * weight + bias;
                    }
                }
            },
        );
    });
    output
}

/// Gradients of input, weight and bias.
pub fn backward(input: &[f32], weight: &[f32], gradient: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = weight.len();
    let mut of_input = vec![0.0; input.len()];
    let parts: Vec<_> = of_input
        .par_chunks_mut(ROWS * width)
        .zip(input.par_chunks(ROWS * width))
        .zip(gradient.par_chunks(ROWS * width))
        .map(|((of_input, input), gradient)| {
            vectorised(
                #[inline(always)]
                || backward_rows(of_input, input, weight, gradient, epsilon),
            )
        })
        .collect();
    let (mut of_weight, mut of_bias) = (vec![0.0; width], vec![0.0; width]);
    for (weights, biases) in parts {
        add(&mut of_weight, &weights);
        add(&mut of_bias, &biases);
    }
    (of_input, of_weight, of_bias)
}

#[inline(always)]
fn backward_rows(
    of_input: &mut [f32],
    input: &[f32],
    weight: &[f32],
    gradient: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let width = weight.len();
    let (mut of_weight, mut of_bias) = (vec![0.0; width], vec![0.0; width]);
    let rows = of_input.chunks_exact_mut(width).zip(input.chunks_exact(width)).zip(gradient.chunks_exact(width));
    for ((of_input, input), gradient) in rows {
        let (mean, scale) = statistics(input, epsilon);
        let count = width as f32;
        let mean_d = sum(
            width,
            #[inline(always)]
            |index| gradient[index] * weight[index],
        ) / count;
        let mean_dn = sum(
            width,
            #[inline(always)]
            |index| gradient[index] * weight[index] * (input[index] - mean),
        ) * scale
            / count;
        for index in 0..width {
            let normed = (input[index] - mean) * scale;
            of_weight[index] += gradient[index] * normed;
            of_bias[index] += gradient[index];
            of_input[index] = scale * (gradient[index] * weight[index] - mean_d - normed * mean_dn);
        }
    }
    (of_weight, of_bias)
}
