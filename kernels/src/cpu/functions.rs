//! Functions of vectors, without branches or calls.

use super::simd::{ROUND, Vector, abs, add, div, madd, max, min, mul, power_of_two, select_negative, splat, sub};

/// `(eʳ - 1 - r) / r²` for less than half of ln 2, by a macro that takes an argument and coefficients, the highest first.
macro_rules! exponential {
    ($polynomial:ident, $r:expr) => {
        $polynomial!($r, 1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5)
    };
}

/// `erfc(z) e^(z²) / t` by the same; see [`gelu`].
macro_rules! error_function {
    ($polynomial:ident, $t:expr) => {
        $polynomial!(
            $t,
            -0.058_891_21,
            0.283_704_04,
            -0.485_387_86,
            0.275_982_74,
            -0.025_180_703,
            0.202_071_04,
            0.243_260_73,
            0.282_353_52,
            0.282_087_68
        )
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) use {error_function, exponential};

/// A polynomial, its highest coefficient first; written out, since a build for size leaves a loop a loop.
macro_rules! horner {
    ($x:expr, $first:literal $(, $next:literal)+) => {{
        let value = splat($first);
        $(let value = madd(value, $x, splat($next));)+
        value
    }};
}
/// `eˣ` within 4e-7 of itself, between the smallest and the greatest normal numbers.
///
/// The argument is reduced to less than half of ln 2 (Cody and Waite, 1980), where a polynomial serves.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn exp(x: Vector) -> Vector {
    let x = max(min(x, splat(88.0)), splat(-87.0));
    let shifted = madd(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
    let whole = sub(shifted, splat(ROUND));
    let rest = madd(whole, splat(2.121_944_4e-4), madd(whole, splat(-0.693_359_4), x));
    let polynomial = exponential!(horner, rest);
    let value = madd(polynomial, mul(rest, rest), add(rest, splat(1.0)));
    mul(value, power_of_two(shifted))
}

/// `x / (1 + e⁻ᵃˣ)`: `SiLU` for `a = 1`, and with 1.702 OpenAI's approximation of GELU.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn swish(x: Vector, a: f32) -> Vector {
    div(x, add(splat(1.0), exp(mul(x, splat(-a)))))
}

/// The exact Gaussian error linear unit, `x Φ(x)`, within 1e-6 of itself above -3 (below, `z²` is rounded: 8e-6 at -10).
///
/// For `z = |x| / √2` and `t = 1 / (1 + z / 2)`, `erfc(z)` is `t e^(-z²)` times a polynomial of `t` that was fitted to
/// `erfc(z) e^(z²) / t` for the least relative error (4.2e-8) up to `z = 9.5`.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn gelu(x: Vector) -> Vector {
    let t = div(splat(1.0), madd(abs(x), splat(0.5 * std::f32::consts::FRAC_1_SQRT_2), splat(1.0)));
    let gauss = exp(mul(x, mul(x, splat(-0.5))));
    let polynomial = error_function!(horner, t);
    let tail = mul(mul(splat(0.5), t), mul(gauss, polynomial));
    mul(x, select_negative(x, tail, sub(splat(1.0), tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(function: fn(Vector) -> Vector, expected: impl Fn(f64) -> f64, from: i32, to: i32) -> f64 {
        (from..=to).fold(0.0, |worst: f64, step| {
            let x = step as f32 * 0.01;
            let expected = expected(f64::from(x));
            let found = f64::from(function(splat(x))[0]);
            worst.max((found - expected).abs() / expected.abs().max(1e-30))
        })
    }

    #[test]
    fn functions_are_within_a_millionth() {
        assert!(worst(exp, f64::exp, -8_700, 8_800) < 4e-7);
        assert!(worst(|x| swish(x, 1.0), |x| x / (1.0 + (-x).exp()), -8_000, 8_000) < 1e-6);
        let gelu_of = |x: f64| 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let error = worst(gelu, gelu_of, -1_000, 1_000);
        assert!(error < 8e-6, "{error}");
        let error = worst(gelu, gelu_of, -300, 1_000);
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for function in [exp, gelu, |x| swish(x, 1.0)] {
            assert!(function(splat(f32::NAN))[0].is_nan());
        }
    }
}
