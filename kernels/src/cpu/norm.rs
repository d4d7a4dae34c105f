//! Group and layer norm, with `SiLU` in the same pass as scale and shift.

use super::{
    contiguous,
    functions::swish,
    simd::{LANES, Vector, add, load, madd, mul, splat, store, sub, sum},
    tensor, values,
};
use crate::norm::{Norm, NormOps};
use burn::backend::{Flex, TensorMetadata as _, flex::FlexTensor};

impl NormOps for Flex {
    fn norm(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, norm: Norm) -> FlexTensor {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        #[cfg(target_arch = "x86_64")]
        if let Some(level) = super::wide() {
            let output = super::wide::norm::output(values(&input), values(&weight), values(&bias), norm, level);
            return tensor(output, input.shape());
        }
        let mut output = values(&input).to_vec();
        run(&mut output, values(&weight), values(&bias), norm);
        tensor(output, input.shape())
    }
}

#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn run(rows: &mut [f32], weight: &[f32], bias: &[f32], norm: Norm) {
    let Norm { length, groups, area, epsilon, silu } = norm;
    let each = length / area;
    for (index, row) in rows.chunks_exact_mut(length).enumerate() {
        let count = length as f32;
        let mean = total(row, |x| x, |x| x) / count;
        let middle = splat(mean);
        let squares = total(
            row,
            |x| {
                let rest = sub(x, middle);
                mul(rest, rest)
            },
            |x| (x - mean) * (x - mean),
        );
        let scale = 1.0 / (squares / count + epsilon).sqrt();
        let group = index % groups * each..;
        let (weight, bias) = (&weight[group.clone()][..each], &bias[group][..each]);
        if area == 1 {
            scale_each(row, weight, bias, mean, scale, silu);
        } else {
            for ((area, &weight), &bias) in row.chunks_exact_mut(area).zip(weight).zip(bias) {
                scale_all(area, mean, weight * scale, bias, silu);
            }
        }
    }
}

/// The sum of a function's values, a few thousand at a time so that nothing small is added to something large.
#[inline]
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn total(values: &[f32], of_four: impl Fn(Vector) -> Vector, of_one: impl Fn(f32) -> f32) -> f32 {
    let mut total = 0.0_f64;
    for values in values.chunks(4_096) {
        let mut sums = [splat(0.0); 2];
        let pairs = values.chunks_exact(2 * LANES);
        let rest: f32 = pairs.remainder().iter().map(|&value| of_one(value)).sum();
        for pair in pairs {
            sums = [add(sums[0], of_four(load(pair))), add(sums[1], of_four(load(&pair[LANES..])))];
        }
        total += f64::from(sum(add(sums[0], sums[1])) + rest);
    }
    total as f32
}

/// `(x - mean) weight + bias`, then `SiLU` if asked.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn scale_all(values: &mut [f32], mean: f32, weight: f32, bias: f32, silu: bool) {
    let mut fours = values.chunks_exact_mut(LANES);
    let of_four = |x| {
        let value = madd(sub(x, splat(mean)), splat(weight), splat(bias));
        if silu { swish(value, 1.0) } else { value }
    };
    for four in fours.by_ref() {
        store(of_four(load(four)), four);
    }
    let rest = fours.into_remainder();
    if !rest.is_empty() {
        let mut four = [0.0; LANES];
        four[..rest.len()].copy_from_slice(rest);
        let value = of_four(load(&four));
        store(value, &mut four);
        rest.copy_from_slice(&four[..rest.len()]);
    }
}

/// `(x - mean) scale weight + bias` with a weight and a bias for each, then `SiLU` if asked.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
fn scale_each(values: &mut [f32], weight: &[f32], bias: &[f32], mean: f32, scale: f32, silu: bool) {
    let whole = values.len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let centred = mul(sub(load(&values[at..]), splat(mean)), splat(scale));
        let value = madd(centred, load(&weight[at..]), load(&bias[at..]));
        store(if silu { swish(value, 1.0) } else { value }, &mut values[at..]);
    }
    let rest = values[whole..].chunks_exact_mut(1).zip(&weight[whole..]).zip(&bias[whole..]);
    for ((value, &weight), &bias) in rest {
        scale_all(value, mean, weight * scale, bias, silu);
    }
}
