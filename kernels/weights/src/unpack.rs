//! The block formats of ggml that are only unpacked here or packed by search, bit for bit (`dequantize_row_*` in
//! <https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c>).

use half::f16;

use crate::quantised_blocks::BLOCK;

const HALF: usize = BLOCK / 2;
/// Elements of a block with scales of its own blocks.
pub(crate) const SUPER: usize = 256;

pub(crate) const Q4_1_BYTES: usize = 2 + 2 + HALF;
pub(crate) const Q5_0_BYTES: usize = 2 + 4 + HALF;
pub(crate) const Q5_1_BYTES: usize = 2 + 2 + 4 + HALF;
pub(crate) const SCALES_BYTES: usize = 12;
pub(crate) const Q4K_BYTES: usize = 2 + 2 + SCALES_BYTES + SUPER / 2;
pub(crate) const Q5K_BYTES: usize = 2 + 2 + SCALES_BYTES + SUPER / 8 + SUPER / 2;
pub(crate) const Q6K_BYTES: usize = SUPER / 2 + SUPER / 4 + SUPER / 16 + 2;

fn half_at(packed: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([packed[at], packed[at + 1]]).to_f32()
}

/// `x = q d + m`.
pub(crate) fn unpack_q4_1(packed: &[u8; Q4_1_BYTES]) -> [f32; BLOCK] {
    let (scale, least) = (half_at(packed, 0), half_at(packed, 2));
    let mut block = [0.0; BLOCK];
    for (index, nibble) in packed[4..].iter().enumerate() {
        block[index] = f32::from(nibble & 15) * scale + least;
        block[index + HALF] = f32::from(nibble >> 4) * scale + least;
    }
    block
}

/// The fifth bits of a block, of the first half in the low ones.
fn fifth(bits: &[u8], index: usize) -> u8 {
    (bits[index / 8] >> (index % 8) & 1) << 4
}

/// `x = (q - 16) d`.
pub(crate) fn unpack_q5_0(packed: &[u8; Q5_0_BYTES]) -> [f32; BLOCK] {
    let scale = half_at(packed, 0);
    let bits = &packed[2..6];
    let mut block = [0.0; BLOCK];
    for (index, nibble) in packed[6..].iter().enumerate() {
        block[index] = (f32::from(nibble & 15 | fifth(bits, index)) - 16.0) * scale;
        block[index + HALF] = (f32::from(nibble >> 4 | fifth(bits, index + HALF)) - 16.0) * scale;
    }
    block
}

/// `x = q d + m`.
pub(crate) fn unpack_q5_1(packed: &[u8; Q5_1_BYTES]) -> [f32; BLOCK] {
    let (scale, least) = (half_at(packed, 0), half_at(packed, 2));
    let bits = &packed[4..8];
    let mut block = [0.0; BLOCK];
    for (index, nibble) in packed[8..].iter().enumerate() {
        block[index] = f32::from(nibble & 15 | fifth(bits, index)) * scale + least;
        block[index + HALF] = f32::from(nibble >> 4 | fifth(bits, index + HALF)) * scale + least;
    }
    block
}

/// The six bits of scale and of least value of the `index`th of eight blocks.
pub(crate) fn scale_and_least(scales: &[u8], index: usize) -> (u8, u8) {
    if index < 4 {
        (scales[index] & 63, scales[index + 4] & 63)
    } else {
        (scales[index + 4] & 15 | scales[index - 4] >> 6 << 4, scales[index + 4] >> 4 | scales[index] >> 6 << 4)
    }
}

/// `x = q d s - m t` with `s` and `t` of six bits for every 32 elements.
pub(crate) fn unpack_q4_k(packed: &[u8; Q4K_BYTES]) -> [f32; SUPER] {
    unpack_k(packed, &[0; SUPER / 8], &packed[4 + SCALES_BYTES..])
}

/// The same with a fifth bit, of all eight blocks of 32 in the bits of 32 bytes.
pub(crate) fn unpack_q5_k(packed: &[u8; Q5K_BYTES]) -> [f32; SUPER] {
    let (bits, nibbles) = packed[4 + SCALES_BYTES..].split_at(SUPER / 8);
    unpack_k(packed, bits, nibbles)
}

fn unpack_k(packed: &[u8], bits: &[u8], nibbles: &[u8]) -> [f32; SUPER] {
    let (scale, least) = (half_at(packed, 0), half_at(packed, 2));
    let scales = &packed[4..4 + SCALES_BYTES];
    let mut values = [0.0; SUPER];
    for (index, block) in values.chunks_exact_mut(BLOCK).enumerate() {
        let (s, t) = scale_and_least(scales, index);
        let (scale, least) = (scale * f32::from(s), least * f32::from(t));
        let nibbles = &nibbles[index / 2 * BLOCK..][..BLOCK];
        for ((value, nibble), bit) in block.iter_mut().zip(nibbles).zip(bits) {
            let low = if index % 2 == 0 { nibble & 15 } else { nibble >> 4 };
            *value = scale * f32::from(low | (bit >> index & 1) << 4) - least;
        }
    }
    values
}

/// `x = (q - 32) d s` with signed `s` of eight bits for every 16 elements.
pub(crate) fn unpack_q6_k(packed: &[u8; Q6K_BYTES]) -> [f32; SUPER] {
    let scale = half_at(packed, Q6K_BYTES - 2);
    let (low, rest) = packed.split_at(SUPER / 2);
    let (high, scales) = rest.split_at(SUPER / 4);
    let mut values = [0.0; SUPER];
    for (index, value) in values.iter_mut().enumerate() {
        let quant = f32::from(sixth(low, high, index)) - 32.0;
        *value = scale * f32::from(scales[index / 16] as i8) * quant;
    }
    values
}

/// The six bits of an element: halves of 128, in each four runs of 32 that share 64 nibbles' and 32 pairs' bytes.
fn sixth(low: &[u8], high: &[u8], index: usize) -> u8 {
    let (half, run, place) = (index / 128, index % 128 / 32, index % 32);
    let nibbles = low[half * 64 + run % 2 * 32 + place];
    let nibble = if run < 2 { nibbles & 15 } else { nibbles >> 4 };
    nibble | (high[half * 32 + place] >> (run * 2) & 3) << 4
}
