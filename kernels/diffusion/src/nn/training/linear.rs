//! A linear layer and its gradients as three matrix products, with the weight as checkpoints store it.

use super::{
    lanes::add,
    matrix::{Matrix, multiply},
};
use rayon::prelude::*;

/// Rows that are computed together: their results stay in the cache until the bias is added.
const ROWS: usize = 256;

/// `[rows, output]` of `[rows, input]` and a weight `[output, input]`.
pub fn forward(input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let out = bias.len();
    let width = weight.len() / out;
    let mut output = vec![0.0; input.len() / width * out];
    output.par_chunks_mut(ROWS * out).zip(input.par_chunks(ROWS * width)).for_each(|(output, input)| {
        output.chunks_exact_mut(out).for_each(|row| row.copy_from_slice(bias));
        let weight = Matrix::new(weight, out, width);
        multiply(output, out, Matrix::new(input, input.len() / width, width), weight.transpose(), true);
    });
    output
}

/// Gradients of input, weight and bias.
pub fn backward(input: &[f32], weight: &[f32], gradient: &[f32], out: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = weight.len() / out;
    let rows = input.len() / width;
    let (mut of_input, mut of_weight, mut of_bias) = (vec![0.0; input.len()], vec![0.0; weight.len()], vec![0.0; out]);
    let gradients = Matrix::new(gradient, rows, out);
    multiply(&mut of_input, width, gradients, Matrix::new(weight, out, width), false);
    multiply(&mut of_weight, width, gradients.transpose(), Matrix::new(input, rows, width), false);
    for row in gradient.chunks_exact(out) {
        add(&mut of_bias, row);
    }
    (of_input, of_weight, of_bias)
}
