//! The same in plain loops, in f64.

use super::{Activation, Layout, Matmul};

/// Sizes of a product.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Pictures.
    pub batch: usize,
    /// Tokens or pixels of one.
    pub tokens: usize,
    /// Values of an input.
    pub columns: usize,
    /// Rows of the matrix.
    pub rows: usize,
}

/// The output of `input`, laid out by the plan, `weight` `[rows, columns]`, `bias` `[rows]` and, where it is not empty, `residual`
/// as the output. Under a gate the second half of the rows are gates.
pub fn matmul(input: &[f32], weight: &[f32], bias: &[f32], residual: &[f32], sizes: Sizes, plan: Matmul) -> Vec<f32> {
    let Sizes { batch, tokens, columns, rows } = sizes;
    let is_gated = plan.activation == Some(Activation::Geglu);
    let outputs = if is_gated { rows / 2 } else { rows };
    let place = |layout, n: usize, token: usize, value: usize, values: usize| match layout {
        Layout::Rows => (n * tokens + token) * values + value,
        Layout::Planes => (n * values + value) * tokens + token,
    };
    let sum = |n: usize, token: usize, row: usize| {
        let products = (0..columns).map(|column| {
            f64::from(weight[row * columns + column]) * f64::from(input[place(plan.input, n, token, column, columns)])
        });
        f64::from(bias[row]) + products.sum::<f64>()
    };
    let mut result = vec![0.0; batch * tokens * outputs];
    for n in 0..batch {
        for token in 0..tokens {
            for value in 0..outputs {
                let sum_of = sum(n, token, value);
                let activated = match plan.activation {
                    None => sum_of,
                    Some(Activation::Gelu) => gelu(sum_of),
                    Some(Activation::QuickGelu) => sum_of / (1.0 + (-1.702 * sum_of).exp()),
                    Some(Activation::Silu) => sum_of / (1.0 + (-sum_of).exp()),
                    Some(Activation::Geglu) => sum_of * gelu(sum(n, token, outputs + value)),
                };
                let at = place(plan.output, n, token, value, outputs);
                result[at] = (activated + residual.get(at).copied().map_or(0.0, f64::from)) as f32;
            }
        }
    }
    result
}

fn gelu(value: f64) -> f64 {
    0.5 * value * (1.0 + libm::erf(value * std::f64::consts::FRAC_1_SQRT_2))
}
