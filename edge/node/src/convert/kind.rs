//! What `--type` takes.

use clap::ValueEnum;
use weights::{Dtype, Quantisation};

/// Layers that quantisation hurts most and that are small: what touches latents or pixels, norms, the timestep, sizes.
const KEPT: [&str; 5] = ["conv_in", "conv_out", "norm", "time_embedding", "add_embedding"];

/// The kind that matrices are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Half of a single's bits, with its range.
    #[value(name = "bf16")]
    BF16,
    /// 8 bits a weight without scales; not in a GGUF.
    #[value(name = "f8_e4m3", alias = "fp8")]
    F8E4M3,
    /// 8.5 bits a weight.
    #[value(name = "q8_0")]
    Q8_0,
    /// 6.56 bits a weight.
    #[value(name = "q6_k")]
    Q6K,
    /// 6 bits a weight.
    #[value(name = "q5_1")]
    Q5_1,
    /// 5.5 bits a weight.
    #[value(name = "q5_0")]
    Q5_0,
    /// 5.5 bits a weight.
    #[value(name = "q5_k")]
    Q5K,
    /// 5 bits a weight.
    #[value(name = "q4_1")]
    Q4_1,
    /// 4.5 bits a weight.
    #[value(name = "q4_0")]
    Q4_0,
    /// 4.5 bits a weight.
    #[value(name = "q4_k")]
    Q4K,
}

impl Kind {
    /// How its elements are stored.
    pub const fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::BF16 => Dtype::BF16,
            Self::F8E4M3 => Dtype::F8E4M3,
            Self::Q8_0 => Dtype::Q8_0,
            Self::Q6K => Dtype::Q6K,
            Self::Q5_1 => Dtype::Q5_1,
            Self::Q5_0 => Dtype::Q5_0,
            Self::Q5K => Dtype::Q5K,
            Self::Q4_1 => Dtype::Q4_1,
            Self::Q4_0 => Dtype::Q4_0,
            Self::Q4K => Dtype::Q4K,
        }
    }

    /// The word for it in names.
    pub fn word(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The number of a file most of whose tensors have it, `LLAMA_FTYPE_MOSTLY_*` in
    /// <https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h>.
    pub const fn file_type(self) -> u32 {
        match self {
            Self::F32 | Self::F8E4M3 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q5_1 => 9,
            Self::Q4K => 14,
            Self::Q5K => 16,
            Self::Q6K => 18,
            Self::BF16 => 32,
        }
    }

    /// Which tensors are stored so.
    pub fn quantisation(self) -> Quantisation {
        let keep_f16 = match self {
            Self::F32 | Self::F16 | Self::BF16 => Vec::new(),
            _ => KEPT.map(str::to_owned).to_vec(),
        };
        Quantisation { keep_f16, ..Quantisation::new(self.dtype()) }
    }
}
