//! The block formats of ggml, bit for bit (`quantize_row_*_ref` and `dequantize_row_*` in
//! <https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c>).

use half::f16;

/// Elements under one scale.
pub(crate) const BLOCK: usize = 32;
const HALF: usize = BLOCK / 2;
pub(crate) const Q8_0_BYTES: usize = 2 + BLOCK;
pub(crate) const Q4_0_BYTES: usize = 2 + HALF;

/// Pack a block as `d = max |x| / 127`, `q = round(x / d)`: the scale, then one signed byte per element.
///
/// The elements are divided by the scale before it is rounded to half precision, as ggml does.
pub(crate) fn pack_q8_0(block: &[f32; BLOCK]) -> [u8; Q8_0_BYTES] {
    let greatest = block.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
    let scale = greatest / 127.0;
    let inverse = inverse_of(scale);
    let mut packed = [0; Q8_0_BYTES];
    let (head, quants) = packed.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (quant, value) in quants.iter_mut().zip(block) {
        *quant = (value * inverse).round() as i8 as u8;
    }
    packed
}

/// Unpack what [`pack_q8_0`] packed: `x = q d`.
pub(crate) fn unpack_q8_0(packed: &[u8; Q8_0_BYTES]) -> [f32; BLOCK] {
    let scale = scale_of(packed);
    let mut block = [0.0; BLOCK];
    for (value, quant) in block.iter_mut().zip(&packed[2..]) {
        *value = f32::from(*quant as i8) * scale;
    }
    block
}

/// Pack a block as `d = m / -8` for the `m` of greatest magnitude, `q = min(15, floor(x / d + 8.5))`.
///
/// The sign of `m` goes into the scale, so `m` itself lands on the end of the range that reaches further, -8. The low
/// nibbles are the first half of the block, the high ones the second.
pub(crate) fn pack_q4_0(block: &[f32; BLOCK]) -> [u8; Q4_0_BYTES] {
    let greatest =
        block.iter().fold(0.0f32, |greatest, &value| if value.abs() > greatest.abs() { value } else { greatest });
    let scale = greatest / -8.0;
    let inverse = inverse_of(scale);
    let quant = |value: f32| ((value * inverse + 8.5) as i8).min(15) as u8;
    let mut packed = [0; Q4_0_BYTES];
    let (head, nibbles) = packed.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let (low, high) = block.split_at(HALF);
    for ((nibble, &low), &high) in nibbles.iter_mut().zip(low).zip(high) {
        *nibble = quant(low) | quant(high) << 4;
    }
    packed
}

/// Unpack what [`pack_q4_0`] packed: `x = (q - 8) d`.
pub(crate) fn unpack_q4_0(packed: &[u8; Q4_0_BYTES]) -> [f32; BLOCK] {
    let scale = scale_of(packed);
    let mut block = [0.0; BLOCK];
    let (low, high) = block.split_at_mut(HALF);
    for ((low, high), nibble) in low.iter_mut().zip(high).zip(&packed[2..]) {
        *low = (f32::from(nibble & 15) - 8.0) * scale;
        *high = (f32::from(nibble >> 4) - 8.0) * scale;
    }
    block
}

fn inverse_of(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The scale in front of a block.
pub(crate) fn scale_of(packed: &[u8]) -> f32 {
    packed.first_chunk().map_or(0.0, |bytes| f16::from_le_bytes(*bytes).to_f32())
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values come out exactly")]
mod tests {
    use super::*;

    #[test]
    fn q8_0_known_block() {
        let mut block = [0.0; BLOCK];
        block[0] = 127.0;
        block[1] = -127.0;
        block[2] = 0.5;
        block[3] = -0.5;
        block[4] = 1.49;
        block[31] = 63.0;
        let packed = pack_q8_0(&block);
        assert_eq!(packed[..2], [0x00, 0x3c], "the scale is 1.0");
        // Halves round away from zero, as C's roundf does.
        assert_eq!(packed[2..7], [127, 129, 1, 255, 1]);
        assert_eq!(packed[33], 63);
        let unpacked = unpack_q8_0(&packed);
        assert_eq!(unpacked[..5], [127.0, -127.0, 1.0, -1.0, 1.0]);
        assert_eq!(unpacked[31], 63.0);
    }

    #[test]
    fn q8_0_rounds_the_scale_but_divides_by_the_exact_one() {
        let mut block = [0.0; BLOCK];
        block[0] = 1.0;
        block[1] = 0.1;
        let packed = pack_q8_0(&block);
        // 1 / 127 = 0.007874016, whose nearest half is 0x2008 = 0.007873535.
        assert_eq!(packed[..4], [0x08, 0x20, 127, 13]);
    }

    #[test]
    fn q4_0_known_block() {
        let mut block = [0.0; BLOCK];
        block[0] = -8.0;
        block[1] = 7.0;
        block[2] = 7.9;
        block[15] = 0.5;
        block[16] = -1.0;
        block[17] = 3.4;
        let packed = pack_q4_0(&block);
        assert_eq!(packed[..2], [0x00, 0x3c], "the scale is -8 / -8 = 1.0");
        assert_eq!(packed[2], 0x70, "-8 is 0 in the low nibble, -1 is 7 in the high one");
        assert_eq!(packed[3], 0xbf, "7 is 15, 3.4 is 11");
        assert_eq!(packed[4], 0x8f, "7.9 would be 16 and is cut to 15, 0 is 8");
        assert_eq!(packed[17], 0x89, "0.5 goes up to 9");
        let unpacked = unpack_q4_0(&packed);
        assert_eq!((unpacked[0], unpacked[1], unpacked[2], unpacked[15]), (-8.0, 7.0, 7.0, 1.0));
        assert_eq!((unpacked[16], unpacked[17], unpacked[31]), (-1.0, 3.0, 0.0));
    }

    #[test]
    fn q4_0_scale_has_the_sign_of_the_greatest() {
        let mut block = [0.0; BLOCK];
        block[5] = 4.0;
        block[6] = -4.0;
        let packed = pack_q4_0(&block);
        assert_eq!(scale_of(&packed), -0.5, "the first of two equals counts");
        let unpacked = unpack_q4_0(&packed);
        assert_eq!((unpacked[5], unpacked[6]), (4.0, -3.5));
    }

    #[test]
    fn blocks_of_zeros_stay_zeros() {
        let zeros = [0.0; BLOCK];
        assert_eq!(pack_q8_0(&zeros), [0; Q8_0_BYTES]);
        assert_eq!(unpack_q8_0(&pack_q8_0(&zeros)), zeros);
        assert_eq!(unpack_q4_0(&pack_q4_0(&zeros)), zeros);
        assert_eq!(pack_q4_0(&zeros)[2..], [0x88; HALF]);
    }
}
