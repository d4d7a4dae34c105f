//! Functions of many numbers at once: plain loops over what has no branch, which the compiler turns into vectors of each level.

use super::leveled;
use crate::cpu::functions::{error_function, exponential};

/// Rounds a number of less than 2^22 when it is added to it.
const ROUND: f32 = 12_582_912.0;

/// A polynomial, its highest coefficient first.
macro_rules! horner {
    ($x:expr, $first:literal $(, $next:literal)+) => {{
        let value: f32 = $first;
        $(let value = value.mul_add($x, $next);)+
        value
    }};
}

/// `eˣ`, as [`exp`](crate::cpu::functions::exp).
#[expect(clippy::inline_always, reason = "it must be compiled with its caller's vectors")]
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Where it is no number it stays none.
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let rest = whole.mul_add(2.121_944_4e-4, whole.mul_add(-0.693_359_4, x));
    let polynomial = exponential!(horner, rest);
    let value = polynomial.mul_add(rest * rest, rest + 1.0);
    value * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// `x / (1 + e⁻ᵃˣ)`, as [`swish`](crate::cpu::functions::swish).
#[expect(clippy::inline_always, reason = "it must be compiled with its caller's vectors")]
#[inline(always)]
pub fn swish(x: f32, a: f32) -> f32 {
    x / (1.0 + exp(x * -a))
}

/// The exact Gaussian error linear unit, as [`gelu`](crate::cpu::functions::gelu).
#[expect(clippy::inline_always, reason = "it must be compiled with its caller's vectors")]
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let t = 1.0 / x.abs().mul_add(0.5 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    let gauss = exp(x * (x * -0.5));
    let polynomial = error_function!(horner, t);
    let tail = 0.5 * t * (gauss * polynomial);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

leveled! {
    /// `x σ(a x)` of each.
    pub fn swish_all(values: &mut [f32], a: f32) {
        for value in values {
            *value = swish(*value, a);
        }
    }
}

leveled! {
    /// The exact Gaussian error linear unit of each.
    pub fn gelu_all(values: &mut [f32]) {
        for value in values {
            *value = gelu(*value);
        }
    }
}

leveled! {
    /// Each times the Gaussian error linear unit of its gate.
    pub fn gate_all(values: &mut [f32], gates: &[f32]) {
        values.iter_mut().zip(gates).for_each(|(value, &gate)| *value *= gelu(gate));
    }
}

leveled! {
    /// `to = from`, plus a residual where there is one.
    pub fn write(from: &[f32], residual: Option<&[f32]>, to: &mut [f32]) {
        match residual {
            Some(residual) => {
                to.iter_mut().zip(from).zip(residual).for_each(|((to, from), residual)| *to = from + residual);
            }
            None => to.copy_from_slice(from),
        }
    }
}
