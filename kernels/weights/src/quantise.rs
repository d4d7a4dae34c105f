use half::{bf16, f16, slice::HalfFloatSliceExt as _};

use crate::{
    Dtype,
    float8::{from_e4m3, from_e5m2, to_e4m3},
    quantised_blocks::{Q4_0_BYTES, Q8_0_BYTES, unpack_q4_0, unpack_q8_0},
    search::{search_q4_0, search_q4_1, search_q4_k, search_q5_0, search_q5_1, search_q5_k, search_q6_k, search_q8_0},
    unpack::{unpack_q4_1, unpack_q4_k, unpack_q5_0, unpack_q5_1, unpack_q5_k, unpack_q6_k},
};

/// Why values cannot be stored in a kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantiseError {
    /// The kind is not for weights.
    #[error(
        "weights are not stored as {dtype}; choose F32, F16, BF16, F8_E4M3, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1 or Q4_0"
    )]
    Target {
        /// The kind that was asked for.
        dtype: Dtype,
    },
    /// The values do not fill whole blocks.
    #[error("{found} values do not fill the blocks of {block} that {dtype} has; store them as F16")]
    Blocks {
        /// The kind that was asked for.
        dtype: Dtype,
        /// How many values there are.
        found: usize,
        /// How many make a block.
        block: usize,
    },
    /// A value is infinite or not a number.
    #[error("value {index} is {value}; the weights are damaged")]
    NotFinite {
        /// Its place.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A value is too large for the kind, or for the scale of its block.
    #[error("value {index}, {value}, is too large for {dtype}; store the tensor as BF16 or F32")]
    TooLarge {
        /// The kind that was asked for.
        dtype: Dtype,
        /// The place of the value, or of the first in its block.
        index: usize,
        /// The value.
        value: f32,
    },
}

impl QuantiseError {
    /// The same about a piece of a tensor that begins at its value `first`.
    #[must_use]
    pub fn behind(mut self, first: usize) -> Self {
        match &mut self {
            Self::NotFinite { index, .. } | Self::TooLarge { index, .. } => *index += first,
            Self::Target { .. } | Self::Blocks { .. } => {}
        }
        self
    }
}

/// Store `values` as `dtype`; the scale of each block is searched for the least squared error.
///
/// # Errors
///
/// A [`QuantiseError`]; nothing is clipped silently.
pub fn quantise(values: &[f32], dtype: Dtype) -> Result<Vec<u8>, QuantiseError> {
    if let Some((index, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(QuantiseError::NotFinite { index, value });
    }
    match dtype {
        Dtype::F32 => Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Dtype::F16 => narrow(values, dtype, |value| {
            let narrowed = f16::from_f32(value);
            narrowed.is_finite().then(|| narrowed.to_le_bytes())
        }),
        Dtype::BF16 => narrow(values, dtype, |value| {
            let narrowed = bf16::from_f32(value);
            narrowed.is_finite().then(|| narrowed.to_le_bytes())
        }),
        Dtype::F8E4M3 => narrow(values, dtype, |value| Some([to_e4m3(value)?])),
        Dtype::Q8_0 => pack(values, dtype, search_q8_0),
        Dtype::Q4_0 => pack(values, dtype, search_q4_0),
        Dtype::Q4_1 => pack(values, dtype, search_q4_1),
        Dtype::Q5_0 => pack(values, dtype, search_q5_0),
        Dtype::Q5_1 => pack(values, dtype, search_q5_1),
        Dtype::Q4K => pack(values, dtype, search_q4_k),
        Dtype::Q5K => pack(values, dtype, search_q5_k),
        Dtype::Q6K => pack(values, dtype, search_q6_k),
        _ => Err(QuantiseError::Target { dtype }),
    }
}

fn narrow<const BYTES: usize>(
    values: &[f32],
    dtype: Dtype,
    narrowed: impl Fn(f32) -> Option<[u8; BYTES]>,
) -> Result<Vec<u8>, QuantiseError> {
    let mut bytes = Vec::with_capacity(values.len() * BYTES);
    for (index, &value) in values.iter().enumerate() {
        bytes.extend(narrowed(value).ok_or(QuantiseError::TooLarge { dtype, index, value })?);
    }
    Ok(bytes)
}

fn pack<const LEN: usize, const BYTES: usize>(
    values: &[f32],
    dtype: Dtype,
    packed: impl Fn(&[f32; LEN]) -> [u8; BYTES],
) -> Result<Vec<u8>, QuantiseError> {
    let (blocks, rest) = values.as_chunks::<LEN>();
    if !rest.is_empty() {
        return Err(QuantiseError::Blocks { dtype, found: values.len(), block: LEN });
    }
    let mut bytes = Vec::with_capacity(blocks.len() * BYTES);
    for (index, block) in blocks.iter().enumerate() {
        // No scale reaches further than this under any of the kinds.
        let greatest = block.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        if greatest > f16::MAX.to_f32() * dtype.steps() {
            return Err(QuantiseError::TooLarge { dtype, index: index * LEN, value: block[0] });
        }
        bytes.extend(packed(block));
    }
    Ok(bytes)
}

/// The values of stored `bytes` in single precision; bytes that do not fill an element or block at the end are left.
pub fn dequantise(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / dtype.block_bytes() * dtype.block_len()];
    dequantise_into(dtype, bytes, &mut values);
    values
}

/// The same into a place for as many values.
///
/// # Panics
///
/// When there is room for more or for fewer.
pub fn dequantise_into(dtype: Dtype, bytes: &[u8], values: &mut [f32]) {
    fn each<const BYTES: usize>(bytes: &[u8], values: &mut [f32], value: impl Fn([u8; BYTES]) -> f32) {
        bytes.as_chunks().0.iter().zip(values).for_each(|(element, place)| *place = value(*element));
    }
    fn blocks<const BYTES: usize, const LEN: usize>(
        bytes: &[u8],
        values: &mut [f32],
        unpack: impl Fn(&[u8; BYTES]) -> [f32; LEN],
    ) {
        let places = values.as_chunks_mut().0;
        bytes.as_chunks().0.iter().zip(places).for_each(|(block, place)| *place = unpack(block));
    }
    assert_eq!(values.len(), bytes.len() / dtype.block_bytes() * dtype.block_len(), "values of {dtype}");
    match dtype {
        Dtype::F64 => each(bytes, values, |element| f64::from_le_bytes(element) as f32),
        Dtype::F32 => each(bytes, values, f32::from_le_bytes),
        Dtype::F16 => halves(bytes, values),
        Dtype::BF16 => each(bytes, values, |element| bf16::from_le_bytes(element).to_f32()),
        Dtype::F8E4M3 => each(bytes, values, |[element]| from_e4m3(element)),
        Dtype::F8E5M2 => each(bytes, values, |[element]| from_e5m2(element)),
        Dtype::I64 => each(bytes, values, |element| i64::from_le_bytes(element) as f32),
        Dtype::I32 => each(bytes, values, |element| i32::from_le_bytes(element) as f32),
        Dtype::I16 => each(bytes, values, |element| i16::from_le_bytes(element).into()),
        Dtype::I8 => each(bytes, values, |element| i8::from_le_bytes(element).into()),
        Dtype::U8 => each(bytes, values, |[element]| element.into()),
        Dtype::Bool => each(bytes, values, |[element]| f32::from(u8::from(element != 0))),
        Dtype::Q8_0 => blocks::<Q8_0_BYTES, _>(bytes, values, unpack_q8_0),
        Dtype::Q4_0 => blocks::<Q4_0_BYTES, _>(bytes, values, unpack_q4_0),
        Dtype::Q4_1 => blocks(bytes, values, unpack_q4_1),
        Dtype::Q5_0 => blocks(bytes, values, unpack_q5_0),
        Dtype::Q5_1 => blocks(bytes, values, unpack_q5_1),
        Dtype::Q4K => blocks(bytes, values, unpack_q4_k),
        Dtype::Q5K => blocks(bytes, values, unpack_q5_k),
        Dtype::Q6K => blocks(bytes, values, unpack_q6_k),
    }
}

/// Half precision a stretch at a time: whether the processor turns halves into floats is asked once for each.
fn halves(bytes: &[u8], values: &mut [f32]) {
    const AT_ONCE: usize = 1_024;
    let mut stretch = [f16::ZERO; AT_ONCE];
    for (bytes, values) in bytes.chunks(2 * AT_ONCE).zip(values.chunks_mut(AT_ONCE)) {
        let stretch = &mut stretch[..values.len()];
        let elements = bytes.as_chunks().0;
        stretch.iter_mut().zip(elements).for_each(|(half, element)| *half = f16::from_le_bytes(*element));
        stretch.convert_to_f32_slice(values);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        quantised_blocks::{pack_q4_0, pack_q8_0},
        relative_error,
    };

    #[test]
    fn quantise_refuses_what_would_be_lost() {
        assert_eq!(
            quantise(&[1.0, f32::NEG_INFINITY], Dtype::F32),
            Err(QuantiseError::NotFinite { index: 1, value: f32::NEG_INFINITY })
        );
        let large = QuantiseError::TooLarge { dtype: Dtype::F16, index: 1, value: 70_000.0 };
        assert_eq!(quantise(&[1.0, 70_000.0], Dtype::F16), Err(large.clone()));
        assert!(matches!(large.behind(5), QuantiseError::TooLarge { index: 6, .. }));
        assert!(matches!(quantise(&[500.0], Dtype::F8E4M3), Err(QuantiseError::TooLarge { .. })));
        assert!(matches!(quantise(&[1e9; 32], Dtype::Q8_0), Err(QuantiseError::TooLarge { index: 0, .. })));
        assert!(matches!(quantise(&[1.0; 33], Dtype::Q4_0), Err(QuantiseError::Blocks { found: 33, .. })));
        assert!(matches!(quantise(&[1.0], Dtype::U8), Err(QuantiseError::Target { dtype: Dtype::U8 })));
    }

    #[test]
    fn dequantise_reads_every_kind() {
        assert_eq!(dequantise(Dtype::F64, &0.5f64.to_le_bytes()), [0.5]);
        assert_eq!(dequantise(Dtype::F32, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]), [1.0, -2.0]);
        assert_eq!(dequantise(Dtype::F16, &[0, 0x3c, 0, 0xc0]), [1.0, -2.0]);
        assert_eq!(dequantise(Dtype::BF16, &[0x80, 0x3f, 0, 0xc0]), [1.0, -2.0]);
        assert_eq!(dequantise(Dtype::I64, &(-7i64).to_le_bytes()), [-7.0]);
        assert_eq!(dequantise(Dtype::I32, &(-7i32).to_le_bytes()), [-7.0]);
        assert_eq!(dequantise(Dtype::I16, &[0xff, 0xff]), [-1.0]);
        assert_eq!(dequantise(Dtype::I8, &[0x80]), [-128.0]);
        assert_eq!(dequantise(Dtype::U8, &[0x80]), [128.0]);
        assert_eq!(dequantise(Dtype::Bool, &[0, 1, 2]), [0.0, 1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn no_block_is_worse_than_the_greatest_value_makes_it(values in prop::collection::vec(-100.0f32..100.0, 64)) {
            let usual = |dtype: Dtype| -> Vec<u8> {
                let blocks = values.as_chunks().0.iter();
                if dtype == Dtype::Q8_0 { blocks.flat_map(pack_q8_0).collect() } else { blocks.flat_map(pack_q4_0).collect() }
            };
            for dtype in [Dtype::Q8_0, Dtype::Q4_0] {
                let searched = relative_error(&values, &dequantise(dtype, &quantise(&values, dtype).unwrap()));
                let usual = relative_error(&values, &dequantise(dtype, &usual(dtype)));
                prop_assert!(searched <= usual * 1.0001, "{dtype}: {searched} where {usual} is usual");
            }
        }

        #[test]
        fn more_bits_come_closer(values in prop::collection::vec(-1.0f32..1.0, 512)) {
            let error = |dtype| relative_error(&values, &dequantise(dtype, &quantise(&values, dtype).unwrap()));
            // Half a step of even spacing over twice the greatest value, with room for scales of six bits.
            for (dtype, bound) in [
                (Dtype::Q8_0, 0.006), (Dtype::Q6K, 0.03), (Dtype::Q5_1, 0.04), (Dtype::Q5K, 0.045), (Dtype::Q5_0, 0.05),
                (Dtype::Q4_1, 0.08), (Dtype::Q4K, 0.085), (Dtype::Q4_0, 0.095),
            ] {
                prop_assert!(error(dtype) < bound, "{dtype}: {}", error(dtype));
            }
        }

        #[test]
        // Far smaller values would make Q6_K's one scale a half that has lost its digits, in ggml as here.
        fn blocks_of_any_scale_and_offset_come_back(scale in -6i32..12, offset in -3.0f32..3.0) {
            let scale = 2f32.powi(scale);
            let values: Vec<f32> = (0..256).map(|index| ((index as f32 * 0.7).sin() + offset) * scale).collect();
            for dtype in [Dtype::Q4K, Dtype::Q5K, Dtype::Q6K, Dtype::Q4_1, Dtype::Q5_1, Dtype::Q5_0, Dtype::Q4_0] {
                let error = relative_error(&values, &dequantise(dtype, &quantise(&values, dtype).unwrap()));
                prop_assert!(error < 0.13, "{dtype}: {error} at {scale} and {offset}");
            }
        }

        #[test]
        fn f32_comes_back_as_it_was(values in prop::collection::vec(-1e30f32..1e30, 0..40)) {
            let bytes = quantise(&values, Dtype::F32).unwrap();
            prop_assert_eq!(dequantise(Dtype::F32, &bytes), values);
        }
    }
}
