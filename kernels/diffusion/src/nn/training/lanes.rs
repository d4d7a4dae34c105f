//! Sums and functions that the compiler turns into vector instructions.

use pulp::Arch;

/// Runs `work` compiled for the widest vectors that this processor has.
///
/// What it calls must be `#[inline(always)]` to be compiled so.
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

const LANES: usize = 16;

/// Σ f(i) over `0..length`, in independent lanes.
#[inline(always)]
pub fn sum(length: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = length / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
    }
    (whole..length).map(f).sum::<f32>() + lanes.iter().sum::<f32>()
}

/// Adds values to sums, one to one.
#[inline(always)]
pub fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// Mean and the reciprocal of the standard deviation.
#[inline(always)]
pub fn statistics(values: &[f32], epsilon: f32) -> (f32, f32) {
    let count = values.len() as f32;
    let mean = sum(
        values.len(),
        #[inline(always)]
        |index| values[index],
    ) / count;
    let variance = sum(
        values.len(),
        #[inline(always)]
        |index| (values[index] - mean) * (values[index] - mean),
    ) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// `eˣ` within 2 units in the last place, between the smallest and the greatest normal numbers.
///
/// Cody and Waite's reduction and a polynomial, without branches or calls.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (x - whole * 0.693_359_4) + whole * 2.121_944_4e-4;
    let polynomial = 1.987_569_1e-4_f32;
    let polynomial = polynomial * rest + 1.398_199_9e-3;
    let polynomial = polynomial * rest + 8.333_452e-3;
    let polynomial = polynomial * rest + 4.166_579_6e-2;
    let polynomial = polynomial * rest + 0.166_666_66;
    let polynomial = polynomial * rest + 0.5;
    let value = polynomial * rest * rest + rest + 1.0;
    let power = f32::from_bits(((whole as i32 + 127) << 23) as u32);
    value * power
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The normal distribution's cumulative function and density at `x`.
///
/// Abramowitz and Stegun, 7.1.26: within 1.5e-7.
#[inline(always)]
pub fn normal(x: f32) -> (f32, f32) {
    let gauss = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs() * std::f32::consts::FRAC_1_SQRT_2);
    let polynomial = 1.061_405_4_f32;
    let polynomial = polynomial * t - 1.453_152;
    let polynomial = polynomial * t + 1.421_413_7;
    let polynomial = polynomial * t - 0.284_496_74;
    let polynomial = polynomial * t + 0.254_829_6;
    let tail = 0.5 * polynomial * t * gauss;
    let cumulative = if x < 0.0 { tail } else { 1.0 - tail };
    (cumulative, 0.398_942_3 * gauss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_those_of_the_library() {
        for step in -800..=800 {
            let x = step as f32 * 0.1;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) - expected).abs() <= expected * 4e-7, "{x}");
            assert!((sigmoid(x) - (1.0 / (1.0 + (-f64::from(x)).exp())) as f32).abs() < 3e-7, "{x}");
        }
        for (x, expected) in [(-1.96, 0.024_997_9), (-0.5, 0.308_537_5), (0.0, 0.5), (1.0, 0.841_344_7)] {
            assert!((normal(x).0 - expected).abs() < 4e-7, "{x}");
        }
    }
}
