//! `safety_checker/config.json`.

use crate::{
    config::{ConfigError, check_range},
    nn::Activation,
};
use serde::Deserialize;

pub(super) const PART: &str = "safety_checker";

/// What the checker is made of.
#[derive(Debug, Clone, Deserialize)]
pub struct SafetyConfig {
    /// Width of the embeddings that are compared.
    pub projection_dim: usize,
    /// The vision encoder.
    pub vision_config: VisionConfig,
}

/// transformers' `CLIPVisionConfig`; defaults are its own, for fields that a file leaves out.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Width of a token's vector.
    pub hidden_size: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of attention.
    pub num_attention_heads: usize,
    /// Channels of a picture.
    pub num_channels: usize,
    /// Side of a picture.
    pub image_size: usize,
    /// Side of a patch, which becomes one token.
    pub patch_size: usize,
    /// `quick_gelu` or `gelu`.
    pub hidden_act: String,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl SafetyConfig {
    /// Refuses sizes that no checker has, before anything is allocated for them.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn validate(&self) -> Result<Activation, ConfigError> {
        check_range(PART, "projection_dim", self.projection_dim, 1, 1 << 14)?;
        self.vision_config.validate()
    }
}

impl VisionConfig {
    /// Tokens of a picture: its patches, and one for the whole.
    pub const fn tokens(&self) -> usize {
        let along = self.image_size / self.patch_size;
        along * along + 1
    }

    fn validate(&self) -> Result<Activation, ConfigError> {
        check_range(PART, "hidden_size", self.hidden_size, 1, 1 << 14)?;
        check_range(PART, "intermediate_size", self.intermediate_size, 1, 1 << 16)?;
        check_range(PART, "num_hidden_layers", self.num_hidden_layers, 1, 128)?;
        check_range(PART, "num_attention_heads", self.num_attention_heads, 1, 256)?;
        check_range(PART, "num_channels", self.num_channels, 3, 3)?;
        check_range(PART, "patch_size", self.patch_size, 1, 256)?;
        check_range(PART, "image_size", self.image_size, self.patch_size, 2048)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(ConfigError::NotDivisible { part: PART, field: "hidden_size", by: "num_attention_heads" });
        }
        match self.hidden_act.as_str() {
            "quick_gelu" => Ok(Activation::QuickGelu),
            "gelu" => Ok(Activation::Gelu),
            other => Err(ConfigError::Unsupported { part: PART, field: "hidden_act", found: other.to_owned() }),
        }
    }
}
