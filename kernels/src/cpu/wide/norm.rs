//! Group and layer norm, with `SiLU` in the same pass as scale and shift.

use super::{Level, functions::swish, leveled};
use crate::norm::Norm;
use rayon::prelude::*;

/// Values that a thread takes at least.
const AT_LEAST: usize = 16 << 10;
/// Sums that are kept apart, so that no addition waits for the one before.
const LANES: usize = 32;

/// The norm of every row.
pub fn output(input: &[f32], weight: &[f32], bias: &[f32], norm: Norm, level: Level) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    let Norm { length, groups, area, .. } = norm;
    let each = length / area;
    let rows = output.par_chunks_exact_mut(length).zip(input.par_chunks_exact(length)).enumerate();
    rows.with_min_len((AT_LEAST / length).max(1)).for_each(|(index, (to, from))| {
        let group = index % groups * each..;
        one(level, from, to, &weight[group.clone()][..each], &bias[group][..each], norm);
    });
    output
}

leveled! {
    fn one(from: &[f32], to: &mut [f32], weight: &[f32], bias: &[f32], norm: Norm) {
        let Norm { length, area, epsilon, silu, .. } = norm;
        let count = length as f32;
        let mean = total(from, |x| x) / count;
        let squares = total(from, |x| (x - mean) * (x - mean));
        let scale = 1.0 / (squares / count + epsilon).sqrt();
        if area == 1 {
            for (((to, &x), &weight), &bias) in to.iter_mut().zip(from).zip(weight).zip(bias) {
                let value = ((x - mean) * scale).mul_add(weight, bias);
                *to = if silu { swish(value, 1.0) } else { value };
            }
            return;
        }
        let areas = to.chunks_exact_mut(area).zip(from.chunks_exact(area)).zip(weight).zip(bias);
        for (((to, from), &weight), &bias) in areas {
            let weight = weight * scale;
            if silu {
                to.iter_mut().zip(from).for_each(|(to, &x)| *to = swish((x - mean).mul_add(weight, bias), 1.0));
            } else {
                to.iter_mut().zip(from).for_each(|(to, &x)| *to = (x - mean).mul_add(weight, bias));
            }
        }
    }
}

/// The sum of a function's values, a few thousand at a time so that nothing small is added to something large.
#[expect(clippy::inline_always, reason = "it must be compiled with its caller's vectors")]
#[inline(always)]
fn total(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut total = 0.0_f64;
    for values in values.chunks(4_096) {
        let mut sums = [0.0_f32; LANES];
        let (whole, rest) = values.as_chunks::<LANES>();
        for values in whole {
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += of(value));
        }
        let rest: f32 = rest.iter().map(|&value| of(value)).sum();
        total += f64::from(sums.iter().sum::<f32>() + rest);
    }
    total as f32
}
