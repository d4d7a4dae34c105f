//! Gated GELU in one pass.

use super::lanes::{normal, vectorised};
use rayon::prelude::*;

/// Rows that one thread takes at a time.
const ROWS: usize = 64;

/// `[rows, 2 width]` to `[rows, width]`.
pub fn forward(input: &[f32], width: usize) -> Vec<f32> {
    let mut output = vec![0.0; input.len() / 2];
    output.par_chunks_mut(ROWS * width).zip(input.par_chunks(ROWS * width * 2)).for_each(|(output, input)| {
        vectorised(
            #[inline(always)]
            || {
                for (output, input) in output.chunks_exact_mut(width).zip(input.chunks_exact(width * 2)) {
                    let (values, gates) = input.split_at(width);
                    for ((output, value), &gate) in output.iter_mut().zip(values).zip(gates) {
                        *output = value * gate * normal(gate).0;
                    }
                }
            },
        );
    });
    output
}

/// Gradient of the input.
pub fn backward(input: &[f32], gradient: &[f32], width: usize) -> Vec<f32> {
    let mut of_input = vec![0.0; input.len()];
    of_input
        .par_chunks_mut(ROWS * width * 2)
        .zip(input.par_chunks(ROWS * width * 2))
        .zip(gradient.par_chunks(ROWS * width))
        .for_each(|((of_input, input), gradient)| {
            vectorised(
                #[inline(always)]
                || backward_rows(of_input, input, gradient, width),
            );
        });
    of_input
}

#[inline(always)]
fn backward_rows(of_input: &mut [f32], input: &[f32], gradient: &[f32], width: usize) {
    let rows = of_input.chunks_exact_mut(width * 2).zip(input.chunks_exact(width * 2));
    for ((of_input, input), gradient) in rows.zip(gradient.chunks_exact(width)) {
        let (values, gates) = input.split_at(width);
        let (of_values, of_gates) = of_input.split_at_mut(width);
        for index in 0..width {
            let gate = gates[index];
            let (cumulative, density) = normal(gate);
            of_values[index] = gradient[index] * gate * cumulative;
            of_gates[index] = gradient[index] * values[index] * (cumulative + gate * density);
        }
    }
}
