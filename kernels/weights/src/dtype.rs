use std::fmt;

use serde::{Deserialize, Serialize};

/// How the elements of a tensor are stored.
///
/// The block-quantised kinds are those of ggml (<https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>):
/// 32 elements share one half-precision scale, or 256 share two with a small scale for every 16 or 32 of them (`Q4K` to `Q6K`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    BF16,
    /// A byte with four bits of exponent, three of mantissa and no infinities (Micikevicius et al., 2022).
    #[serde(rename = "F8_E4M3")]
    F8E4M3,
    /// A byte with five bits of exponent and two of mantissa, the upper half of a half.
    #[serde(rename = "F8_E5M2")]
    F8E5M2,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// One byte, zero or not.
    Bool,
    /// Blocks of 32 signed bytes under one scale, 8.5 bits per element.
    Q8_0,
    /// Blocks of 32 four-bit values under one scale, 4.5 bits per element.
    Q4_0,
    /// Blocks of 32 four-bit values with a scale and a least value, 5 bits per element.
    Q4_1,
    /// Blocks of 32 five-bit values under one scale, 5.5 bits per element.
    Q5_0,
    /// Blocks of 32 five-bit values with a scale and a least value, 6 bits per element.
    Q5_1,
    /// Blocks of 256 four-bit values with eight scales and least values, 4.5 bits per element.
    #[serde(rename = "Q4_K")]
    Q4K,
    /// Blocks of 256 five-bit values with eight scales and least values, 5.5 bits per element.
    #[serde(rename = "Q5_K")]
    Q5K,
    /// Blocks of 256 six-bit values with sixteen scales, 6.5625 bits per element.
    #[serde(rename = "Q6_K")]
    Q6K,
}

impl Dtype {
    /// How many elements one block holds; 1 for the kinds that are not quantised.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
            _ => 1,
        }
    }

    /// How many bytes one block takes.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F8E4M3 | Self::F8E5M2 | Self::I8 | Self::U8 | Self::Bool => 1,
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 2 + 2 + 4 + 16,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q5K => 2 + 2 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// How many bytes `elements` take.
    ///
    /// `None` where they do not fill whole blocks or the count of bytes does not fit in 64 bits.
    pub const fn byte_len(self, elements: u64) -> Option<u64> {
        let block = self.block_len() as u64;
        if !elements.is_multiple_of(block) {
            return None;
        }
        (elements / block).checked_mul(self.block_bytes() as u64)
    }

    /// Whether elements share a scale in blocks.
    pub const fn is_block_quantised(self) -> bool {
        self.block_len() > 1
    }

    /// The kind with blocks of 32 that stands in for one with blocks of 256 where rows do not fill those, as in llama.cpp
    /// (<https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp>).
    pub const fn smaller_blocks(self) -> Option<Self> {
        match self {
            Self::Q4K => Some(Self::Q5_0),
            Self::Q5K => Some(Self::Q5_1),
            Self::Q6K => Some(Self::Q8_0),
            _ => None,
        }
    }

    /// Whether the elements are whole numbers or truth values, which are never stored in another kind.
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::I16 | Self::I8 | Self::U8 | Self::Bool)
    }

    /// How many steps of its scale the greatest value of a block can have; for least values that is 1.
    pub(crate) const fn steps(self) -> f32 {
        match self {
            Self::Q8_0 => 127.0,
            Self::Q4_0 => 8.0,
            Self::Q5_0 => 16.0,
            Self::Q6K => 4096.0,
            _ => 1.0,
        }
    }

    /// The name as the file formats write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F8E4M3 => "F8_E4M3",
            Self::F8E5M2 => "F8_E5M2",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_len_counts_whole_blocks() {
        assert_eq!(Dtype::F32.byte_len(3), Some(12));
        assert_eq!(Dtype::Q8_0.byte_len(64), Some(68));
        assert_eq!(Dtype::Q4_0.byte_len(64), Some(36));
        assert_eq!(Dtype::Q4_0.byte_len(33), None);
        assert_eq!(Dtype::F64.byte_len(u64::MAX / 4), None);
    }

    #[test]
    fn serde_names_are_the_written_names() {
        for dtype in
            [Dtype::F64, Dtype::BF16, Dtype::Bool, Dtype::Q8_0, Dtype::Q4_0, Dtype::Q6K, Dtype::F8E4M3, Dtype::U8]
        {
            assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{dtype}\""));
        }
    }
}
