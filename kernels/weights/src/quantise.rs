use half::{bf16, f16};

use crate::{
    Dtype,
    quantised_blocks::{BLOCK, Q4_0_BYTES, Q8_0_BYTES, pack_q4_0, pack_q8_0, scale_of, unpack_q4_0, unpack_q8_0},
};

/// Which kind each tensor of a model is stored in when the model is made smaller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantisation {
    /// The kind for the matrices and convolutions that it fits.
    pub target: Dtype,
    /// Tensors whose name contains one of these are stored in half precision whatever their shape.
    pub keep_f16: Vec<String>,
}

impl Quantisation {
    /// Store all that it fits as `target`.
    pub fn new(target: Dtype) -> Self {
        Self { target, keep_f16: Vec::new() }
    }

    /// The kind in which the tensor `name` of this `shape` is stored.
    ///
    /// Scalars and vectors (biases, the gains of norms) stay in single precision: they are small, and every element
    /// they touch inherits their error. A tensor whose rows, the product of all dimensions after the first, do not
    /// fill whole blocks of the target is stored in half precision.
    pub fn stored_dtype(&self, name: &str, shape: &[usize]) -> Dtype {
        let Self { target, keep_f16 } = self;
        let [_, row @ ..] = shape else { return Dtype::F32 };
        if row.is_empty() {
            return Dtype::F32;
        }
        let row = row.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let fits = row.is_some_and(|row| row.is_multiple_of(target.block_len()));
        if fits && !keep_f16.iter().any(|part| name.contains(part.as_str())) { *target } else { Dtype::F16 }
    }
}

/// Why values cannot be stored in a kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantiseError {
    /// The kind is not for weights.
    #[error("weights are not stored as {dtype}; choose F32, F16, BF16, Q8_0 or Q4_0")]
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

/// Store `values` as `dtype`, as ggml does for the block-quantised kinds.
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
        Dtype::Q8_0 => pack(values, dtype, pack_q8_0),
        Dtype::Q4_0 => pack(values, dtype, pack_q4_0),
        Dtype::F64 | Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 | Dtype::U8 | Dtype::Bool => {
            Err(QuantiseError::Target { dtype })
        }
    }
}

fn narrow(values: &[f32], dtype: Dtype, narrowed: impl Fn(f32) -> Option<[u8; 2]>) -> Result<Vec<u8>, QuantiseError> {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    for (index, &value) in values.iter().enumerate() {
        bytes.extend(narrowed(value).ok_or(QuantiseError::TooLarge { dtype, index, value })?);
    }
    Ok(bytes)
}

fn pack<const BYTES: usize>(
    values: &[f32],
    dtype: Dtype,
    packed: impl Fn(&[f32; BLOCK]) -> [u8; BYTES],
) -> Result<Vec<u8>, QuantiseError> {
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    if !rest.is_empty() {
        return Err(QuantiseError::Blocks { dtype, found: values.len(), block: BLOCK });
    }
    let mut bytes = Vec::with_capacity(blocks.len() * BYTES);
    for (index, block) in blocks.iter().enumerate() {
        let packed = packed(block);
        if !scale_of(&packed).is_finite() {
            return Err(QuantiseError::TooLarge { dtype, index: index * BLOCK, value: block[0] });
        }
        bytes.extend(packed);
    }
    Ok(bytes)
}

/// The values of stored `bytes` in single precision; bytes that do not fill an element or block at the end are left.
pub fn dequantise(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    fn each<const BYTES: usize>(bytes: &[u8], value: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|element| value(*element)).collect()
    }
    match dtype {
        Dtype::F64 => each(bytes, |element| f64::from_le_bytes(element) as f32),
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |element| f16::from_le_bytes(element).to_f32()),
        Dtype::BF16 => each(bytes, |element| bf16::from_le_bytes(element).to_f32()),
        Dtype::I64 => each(bytes, |element| i64::from_le_bytes(element) as f32),
        Dtype::I32 => each(bytes, |element| i32::from_le_bytes(element) as f32),
        Dtype::I16 => each(bytes, |element| i16::from_le_bytes(element).into()),
        Dtype::I8 => each(bytes, |element| i8::from_le_bytes(element).into()),
        Dtype::U8 => each(bytes, |[element]| element.into()),
        Dtype::Bool => each(bytes, |[element]| f32::from(u8::from(element != 0))),
        Dtype::Q8_0 => bytes.as_chunks::<Q8_0_BYTES>().0.iter().flat_map(unpack_q8_0).collect(),
        Dtype::Q4_0 => bytes.as_chunks::<Q4_0_BYTES>().0.iter().flat_map(unpack_q4_0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stored_dtype_follows_the_shape() {
        let quantisation = Quantisation { target: Dtype::Q8_0, keep_f16: vec!["time_embed".into()] };
        let cases: [(&str, &[usize], Dtype); 7] = [
            ("scalar", &[], Dtype::F32),
            ("bias", &[320], Dtype::F32),
            ("linear", &[320, 768], Dtype::Q8_0),
            ("narrow", &[320, 30], Dtype::F16),
            ("conv", &[320, 32, 3, 3], Dtype::Q8_0),
            ("conv_in", &[320, 4, 3, 3], Dtype::F16),
            ("time_embed.0.weight", &[1280, 320], Dtype::F16),
        ];
        for (name, shape, dtype) in cases {
            assert_eq!(quantisation.stored_dtype(name, shape), dtype, "{name}");
        }
        assert_eq!(Quantisation::new(Dtype::BF16).stored_dtype("conv_in", &[320, 4, 3, 3]), Dtype::BF16);
    }

    #[test]
    fn quantise_refuses_what_would_be_lost() {
        assert_eq!(
            quantise(&[1.0, f32::NEG_INFINITY], Dtype::F32),
            Err(QuantiseError::NotFinite { index: 1, value: f32::NEG_INFINITY })
        );
        let large = QuantiseError::TooLarge { dtype: Dtype::F16, index: 1, value: 70_000.0 };
        assert_eq!(quantise(&[1.0, 70_000.0], Dtype::F16), Err(large));
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
        fn q8_0_is_within_half_a_step(values in prop::collection::vec(-100.0f32..100.0, 64)) {
            let back = dequantise(Dtype::Q8_0, &quantise(&values, Dtype::Q8_0).unwrap());
            for (block, back) in values.chunks(32).zip(back.chunks(32)) {
                let greatest = block.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
                // Half a step, and what rounding the scale to a half (2^-11, or 2^-25 near zero) makes of 127 steps.
                let bound = greatest / 254.0 + greatest / 2000.0 + 127.0 / (1 << 24) as f32;
                for (value, back) in block.iter().zip(back) {
                    prop_assert!((value - back).abs() <= bound, "{value} came back as {back}");
                }
            }
        }

        #[test]
        fn q4_0_is_within_one_step(values in prop::collection::vec(-100.0f32..100.0, 64)) {
            let back = dequantise(Dtype::Q4_0, &quantise(&values, Dtype::Q4_0).unwrap());
            for (block, back) in values.chunks(32).zip(back.chunks(32)) {
                let greatest = block.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
                // Half a step in general, a whole one where 8 is cut to 7 on the shorter side.
                let bound = greatest / 8.0 + greatest / 2000.0 + 8.0 / (1 << 24) as f32;
                for (value, back) in block.iter().zip(back) {
                    prop_assert!((value - back).abs() <= bound, "{value} came back as {back}");
                }
            }
        }

        #[test]
        fn f32_comes_back_as_it_was(values in prop::collection::vec(-1e30f32..1e30, 0..40)) {
            let bytes = quantise(&values, Dtype::F32).unwrap();
            prop_assert_eq!(dequantise(Dtype::F32, &bytes), values);
        }
    }
}
