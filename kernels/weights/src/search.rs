//! Packing blocks with the least squared error that a search finds.
//!
//! ggml's own packing takes the scale from the greatest value. Here that scale and others around it are tried; for each the
//! nearest steps `q` are taken, and for these steps the best scale is `sum x q / sum q q`. What is kept is judged as it will be
//! read, its scale rounded to half precision, so that no block comes out worse than ggml's.

use half::f16;

use crate::{
    quantised_blocks::{BLOCK, Q4_0_BYTES, Q8_0_BYTES, pack_q4_0, pack_q8_0, unpack_q4_0, unpack_q8_0},
    unpack::{
        Q4_1_BYTES, Q4K_BYTES, Q5_0_BYTES, Q5_1_BYTES, Q5K_BYTES, Q6K_BYTES, SCALES_BYTES, SUPER, scale_and_least,
    },
};

/// What is tried on either side of the scale that the greatest value gives.
const TRIED: i32 = 9;
/// How far apart, in steps of the greatest value.
const APART: f32 = 0.1;

/// Nearest whole number, for magnitudes far below 2^22; halves go to even. Unlike `round` it becomes vector instructions.
#[inline]
fn nearest(value: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT) - SHIFT
}

#[inline]
fn rounded(scale: f32) -> f32 {
    f16::from_f32(scale).to_f32()
}

#[inline]
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Nearest steps between `low` and `high`, summed against the values: `(sum x q, sum q q)`.
#[inline]
fn sums<const N: usize>(values: &[f32; N], inverse: f32, low: f32, high: f32) -> (f32, f32) {
    let (mut cross, mut square) = (0.0, 0.0);
    for value in values {
        let step = nearest(value * inverse).clamp(low, high);
        cross += value * step;
        square += step * step;
    }
    (cross, square)
}

#[inline]
fn error_of<const N: usize>(values: &[f32; N], scale: f32, low: f32, high: f32) -> f32 {
    let inverse = inverse(scale);
    values.iter().map(|value| (nearest(value * inverse).clamp(low, high) * scale - value).powi(2)).sum()
}

/// The scale of steps `low..=high` without an offset; `round` is what storing does to it.
fn symmetric<const N: usize>(values: &[f32; N], low: f32, high: f32, round: impl Fn(f32) -> f32) -> (f32, f32) {
    let greatest = values.iter().fold(0.0f32, |most, &value| if value.abs() > most.abs() { value } else { most });
    if greatest == 0.0 {
        return (0.0, 0.0);
    }
    let mut best = (0.0, f32::INFINITY);
    for end in [low, high] {
        for tried in -TRIED..=TRIED {
            let inverse = (end + APART * tried as f32) / greatest;
            let (cross, square) = sums(values, inverse, low, high);
            if square == 0.0 {
                continue;
            }
            let scale = round(cross / square);
            let error = error_of(values, scale, low, high);
            if error < best.1 {
                best = (scale, error);
            }
        }
    }
    best
}

/// Most times that steps and line are fitted to each other once more.
const REFINED: usize = 8;

/// The scale and the least value of steps `0..=high`.
fn with_offset<const N: usize>(values: &[f32; N], high: f32) -> (f32, f32) {
    let (least, most) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)));
    let mut best = (0.0, rounded(least));
    let mut best_error = offset_error(values, best, high);
    let mut spread = most - least;
    // Around what the greatest and the least value give, then around the best of these.
    for reach in [TRIED, TRIED / 2] {
        let from = if reach == TRIED { least } else { best.1 };
        for tried in -reach..=reach {
            let inverse = inverse(spread / (high + APART * tried as f32));
            if let Some(found) = line(values, inverse, from, high) {
                let error = offset_error(values, found, high);
                if error < best_error {
                    (best, best_error) = (found, error);
                }
            }
        }
        spread = best.0 * high;
    }
    // Nearest steps for a line and the best line for steps, in turns, never come further apart.
    for _ in 0..REFINED {
        let Some(found) = line(values, inverse(best.0), best.1, high) else { break };
        let error = offset_error(values, found, high);
        if error >= best_error {
            break;
        }
        (best, best_error) = (found, error);
    }
    best
}

/// The line through (step, value) with the least squared error, for the steps that are nearest under a scale and a least value.
fn line<const N: usize>(values: &[f32; N], inverse: f32, least: f32, high: f32) -> Option<(f32, f32)> {
    let (mut sum_q, mut sum_qq, mut sum_x, mut sum_qx) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
    for value in values {
        let step = nearest((value - least) * inverse).clamp(0.0, high);
        sum_q += step;
        sum_qq += step * step;
        sum_x += value;
        sum_qx += step * value;
    }
    let count = values.len() as f32;
    let spread = count * sum_qq - sum_q * sum_q;
    let slope = (count * sum_qx - sum_q * sum_x) / spread;
    (spread > 0.0).then(|| (rounded(slope), rounded((sum_x - slope * sum_q) / count)))
}

fn offset_error<const N: usize>(values: &[f32; N], (scale, least): (f32, f32), high: f32) -> f32 {
    let inverse = inverse(scale);
    values
        .iter()
        .map(|value| (nearest((value - least) * inverse).clamp(0.0, high) * scale + least - value).powi(2))
        .sum()
}

fn distance(values: &[f32], packed: &[f32]) -> f32 {
    values.iter().zip(packed).map(|(value, packed)| (value - packed).powi(2)).sum()
}

fn put_half(packed: &mut [u8], value: f32) {
    packed[..2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

/// The better of ggml's packing and the best that was found.
pub(crate) fn search_q8_0(block: &[f32; BLOCK]) -> [u8; Q8_0_BYTES] {
    let usual = pack_q8_0(block);
    let (scale, error) = symmetric(block, -127.0, 127.0, rounded);
    if error >= distance(block, &unpack_q8_0(&usual)) {
        return usual;
    }
    let mut packed = [0; Q8_0_BYTES];
    put_half(&mut packed, scale);
    let inverse = inverse(scale);
    for (quant, value) in packed[2..].iter_mut().zip(block) {
        *quant = nearest(value * inverse).clamp(-127.0, 127.0) as i8 as u8;
    }
    packed
}

/// The better of ggml's packing and the best that was found.
pub(crate) fn search_q4_0(block: &[f32; BLOCK]) -> [u8; Q4_0_BYTES] {
    let usual = pack_q4_0(block);
    let (scale, error) = symmetric(block, -8.0, 7.0, rounded);
    if error >= distance(block, &unpack_q4_0(&usual)) {
        return usual;
    }
    let mut packed = [0; Q4_0_BYTES];
    put_half(&mut packed, scale);
    let steps = steps(block, scale, 0.0, -8.0, 7.0);
    put_nibbles(&mut packed[2..], &steps);
    packed
}

/// Steps from 0 up, whose least stands for `low`.
fn steps<const N: usize>(values: &[f32; N], scale: f32, least: f32, low: f32, high: f32) -> [u8; N] {
    let inverse = inverse(scale);
    values.map(|value| (nearest((value - least) * inverse).clamp(low, high) - low) as u8)
}

/// The lower four bits, of the first half of a block in the low nibbles.
fn put_nibbles(nibbles: &mut [u8], steps: &[u8]) {
    let (low, high) = steps.split_at(steps.len() / 2);
    for ((nibble, low), high) in nibbles.iter_mut().zip(low).zip(high) {
        *nibble = low & 15 | (high & 15) << 4;
    }
}

/// The fifth bits, of the first element in the lowest.
fn put_fifth(bits: &mut [u8], steps: &[u8]) {
    for (index, step) in steps.iter().enumerate() {
        bits[index / 8] |= (step >> 4 & 1) << (index % 8);
    }
}

pub(crate) fn search_q4_1(block: &[f32; BLOCK]) -> [u8; Q4_1_BYTES] {
    let (scale, least) = with_offset(block, 15.0);
    let mut packed = [0; Q4_1_BYTES];
    put_half(&mut packed, scale);
    put_half(&mut packed[2..], least);
    put_nibbles(&mut packed[4..], &steps(block, scale, least, 0.0, 15.0));
    packed
}

pub(crate) fn search_q5_0(block: &[f32; BLOCK]) -> [u8; Q5_0_BYTES] {
    let (scale, _) = symmetric(block, -16.0, 15.0, rounded);
    let steps = steps(block, scale, 0.0, -16.0, 15.0);
    let mut packed = [0; Q5_0_BYTES];
    put_half(&mut packed, scale);
    put_fifth(&mut packed[2..6], &steps);
    put_nibbles(&mut packed[6..], &steps);
    packed
}

pub(crate) fn search_q5_1(block: &[f32; BLOCK]) -> [u8; Q5_1_BYTES] {
    let (scale, least) = with_offset(block, 31.0);
    let steps = steps(block, scale, least, 0.0, 31.0);
    let mut packed = [0; Q5_1_BYTES];
    put_half(&mut packed, scale);
    put_half(&mut packed[2..], least);
    put_fifth(&mut packed[4..8], &steps);
    put_nibbles(&mut packed[8..], &steps);
    packed
}

/// Scales and least values of the eight blocks in six bits each, and the two halves that these count in.
struct Scales {
    scale: f32,
    least: f32,
    bytes: [u8; SCALES_BYTES],
}

impl Scales {
    fn of(values: &[f32; SUPER], high: f32) -> Self {
        let (blocks, _) = values.as_chunks::<BLOCK>();
        let mut found = [(0.0f32, 0.0f32); SUPER / BLOCK];
        for (found, block) in found.iter_mut().zip(blocks) {
            let (scale, least) = with_offset(block, high);
            // What is taken away cannot be less than nothing: a block above zero starts at it.
            *found = if least <= 0.0 && scale >= 0.0 {
                (scale, -least)
            } else {
                (symmetric(block, 0.0, high, rounded).0.max(0.0), 0.0)
            };
        }
        let most = |pick: fn(&(f32, f32)) -> f32| found.iter().map(pick).fold(0.0, f32::max);
        let (scale, least) = (rounded(most(|pair| pair.0) / 63.0), rounded(most(|pair| pair.1) / 63.0));
        let mut bytes = [0; SCALES_BYTES];
        for (index, (block, pair)) in blocks.iter().zip(found).enumerate() {
            let (s, t) = six_bits(block, pair, (scale, least), high);
            put_scale(&mut bytes, index, s, t);
        }
        Self { scale, least, bytes }
    }

    /// The nearest steps under the scales as they are stored.
    fn steps(&self, values: &[f32; SUPER], high: f32) -> [u8; SUPER] {
        let mut all = [0; SUPER];
        for (index, (block, out)) in
            values.as_chunks::<BLOCK>().0.iter().zip(all.as_chunks_mut::<BLOCK>().0).enumerate()
        {
            let (s, t) = scale_and_least(&self.bytes, index);
            *out = steps(block, self.scale * f32::from(s), -self.least * f32::from(t), 0.0, high);
        }
        all
    }
}

/// Scale and least value of a block as multiples of their units: of those beside the best, the two that are best together.
fn six_bits(block: &[f32; BLOCK], best: (f32, f32), (scale, least): (f32, f32), high: f32) -> (u8, u8) {
    let around = |value: f32, unit: f32| {
        let middle = nearest(value * inverse(unit));
        [middle, middle - 1.0, middle + 1.0].map(|six| six.clamp(0.0, 63.0))
    };
    let (mut found, mut least_error) = ((0.0, 0.0), f32::INFINITY);
    for s in around(best.0, scale) {
        for t in around(best.1, least) {
            let error = offset_error(block, (scale * s, -least * t), high);
            if error < least_error {
                (found, least_error) = ((s, t), error);
            }
        }
    }
    (found.0 as u8, found.1 as u8)
}

/// Puts what [`scale_and_least`] reads.
fn put_scale(bytes: &mut [u8; SCALES_BYTES], index: usize, scale: u8, least: u8) {
    if index < 4 {
        bytes[index] |= scale;
        bytes[index + 4] |= least;
    } else {
        bytes[index + 4] = scale & 15 | least << 4;
        bytes[index - 4] |= scale >> 4 << 6;
        bytes[index] |= least >> 4 << 6;
    }
}

/// Two blocks of 32 share 32 bytes, the first in the low nibbles.
fn put_pairs(nibbles: &mut [u8], steps: &[u8; SUPER]) {
    for (nibbles, steps) in nibbles.chunks_exact_mut(BLOCK).zip(steps.chunks_exact(2 * BLOCK)) {
        put_nibbles(nibbles, steps);
    }
}

pub(crate) fn search_q4_k(values: &[f32; SUPER]) -> [u8; Q4K_BYTES] {
    let scales = Scales::of(values, 15.0);
    let mut packed = [0; Q4K_BYTES];
    put_half(&mut packed, scales.scale);
    put_half(&mut packed[2..], scales.least);
    packed[4..16].copy_from_slice(&scales.bytes);
    put_pairs(&mut packed[16..], &scales.steps(values, 15.0));
    packed
}

pub(crate) fn search_q5_k(values: &[f32; SUPER]) -> [u8; Q5K_BYTES] {
    let scales = Scales::of(values, 31.0);
    let steps = scales.steps(values, 31.0);
    let mut packed = [0; Q5K_BYTES];
    put_half(&mut packed, scales.scale);
    put_half(&mut packed[2..], scales.least);
    packed[4..16].copy_from_slice(&scales.bytes);
    for (index, step) in steps.iter().enumerate() {
        packed[16 + index % BLOCK] |= (step >> 4 & 1) << (index / BLOCK);
    }
    put_pairs(&mut packed[48..], &steps);
    packed
}

pub(crate) fn search_q6_k(values: &[f32; SUPER]) -> [u8; Q6K_BYTES] {
    const SIXTEEN: usize = 16;
    let (blocks, _) = values.as_chunks::<SIXTEEN>();
    let found: Vec<f32> = blocks.iter().map(|block| symmetric(block, -32.0, 31.0, |scale| scale).0).collect();
    let greatest = found.iter().fold(0.0f32, |most, &scale| if scale.abs() > most.abs() { scale } else { most });
    let unit = rounded(greatest / -128.0);
    let mut packed = [0; Q6K_BYTES];
    for (index, (block, scale)) in blocks.iter().zip(found).enumerate() {
        let eight = nearest(scale * inverse(unit)).clamp(-128.0, 127.0);
        packed[192 + index] = eight as i8 as u8;
        for (place, step) in steps(block, unit * eight, 0.0, -32.0, 31.0).into_iter().enumerate() {
            put_sixth(&mut packed, index * SIXTEEN + place, step);
        }
    }
    put_half(&mut packed[208..], unit);
    packed
}

/// Halves of 128, in each four runs of 32 that share 64 nibbles' and 32 pairs' bytes.
fn put_sixth(packed: &mut [u8; Q6K_BYTES], index: usize, step: u8) {
    let (half, run, place) = (index / 128, index % 128 / 32, index % 32);
    packed[half * 64 + run % 2 * 32 + place] |= (step & 15) << (run / 2 * 4);
    packed[128 + half * 32 + place] |= (step >> 4 & 3) << (run * 2);
}
