//! Numbers of one byte (Micikevicius et al., "FP8 formats for deep learning", 2022), as safetensors stores them.

use half::f16;

/// Four bits of exponent with a bias of 7, three of mantissa; no infinities, and only `S.1111.111` is no number.
pub(crate) fn from_e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 8.0 * 2f32.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The nearest number of [`from_e4m3`], of two the one with an even mantissa; `None` beyond the greatest.
pub(crate) fn to_e4m3(value: f32) -> Option<u8> {
    const BIAS: i32 = 7;
    let magnitude = value.abs();
    // Below the least normal number steps are as wide as above it.
    let exponent = ((magnitude.to_bits() >> 23) as i32 - 127).max(1 - BIAS);
    let steps = (magnitude / 2f32.powi(exponent - 3)).round_ties_even() as i32;
    // A mantissa that was rounded up to the next power of two carries into the exponent.
    let code = (exponent + BIAS - 1) * 8 + steps;
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    (magnitude < 512.0 && code < 0x7f).then_some(code as u8 | sign)
}

/// Five bits of exponent, two of mantissa: the upper byte of a half.
pub(crate) fn from_e5m2(byte: u8) -> f32 {
    f16::from_bits(u16::from(byte) << 8).to_f32()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these values come out exactly")]
mod tests {
    use super::*;

    #[test]
    fn e4m3_known_values() {
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 0.001_953_125),
            (0x07, 0.013_671_875),
            (0x08, 0.015_625),
            (0x38, 1.0),
            (0xb8, -1.0),
            (0x3c, 1.5),
            (0x7e, 448.0),
            (0xfe, -448.0),
        ] {
            assert_eq!(from_e4m3(byte), value, "{byte:#x}");
        }
        assert!(from_e4m3(0x7f).is_nan() && from_e4m3(0xff).is_nan());
    }

    #[test]
    fn e4m3_comes_back_and_takes_the_nearest() {
        for byte in (0..=0xffu8).filter(|byte| byte & 0x7f != 0x7f) {
            assert_eq!(to_e4m3(from_e4m3(byte)), Some(byte), "{byte:#x}");
        }
        for (value, byte) in [(1.06, 0x38), (1.0625, 0x38), (1.07, 0x39), (1.1875, 0x3a), (1.95, 0x40), (-0.001, 0x81)]
        {
            assert_eq!(to_e4m3(value), Some(byte), "{value}");
        }
        assert_eq!((to_e4m3(463.0), to_e4m3(464.1), to_e4m3(1e9)), (Some(0x7e), None, None));
    }

    #[test]
    fn e5m2_known_values() {
        for (byte, value) in [(0x00, 0.0), (0x01, 2f32.powi(-16)), (0x3c, 1.0), (0xc0, -2.0), (0x7b, 57344.0)] {
            assert_eq!(from_e5m2(byte), value, "{byte:#x}");
        }
        assert!(from_e5m2(0x7c).is_infinite() && from_e5m2(0x7f).is_nan());
    }
}
