//! `vae/config.json`.

use crate::config::{ConfigError, check_range};
use serde::Deserialize;

const PART: &str = "vae";

/// What the autoencoder is made of; fields as in the reference.
#[derive(Debug, Clone, Deserialize)]
pub struct VaeConfig {
    /// Channels of a picture.
    #[serde(default = "three")]
    pub in_channels: usize,
    /// Channels of a picture that comes out.
    #[serde(default = "three")]
    pub out_channels: usize,
    /// Channels of the latents.
    #[serde(default = "four")]
    pub latent_channels: usize,
    /// Channels of each resolution, from the outside in.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of each resolution in the encoder; the decoder has one more.
    #[serde(default = "one")]
    pub layers_per_block: usize,
    /// Groups of the norms.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// What latents are multiplied with before they are denoised.
    #[serde(default = "scaling_factor")]
    pub scaling_factor: f64,
    /// What is taken from latents before that.
    #[serde(default)]
    pub shift_factor: Option<f64>,
    /// Whether a 1 x 1 convolution follows the encoder.
    #[serde(default = "yes")]
    pub use_quant_conv: bool,
    /// Whether a 1 x 1 convolution precedes the decoder.
    #[serde(default = "yes")]
    pub use_post_quant_conv: bool,
    /// Whether the middle has attention.
    #[serde(default = "yes")]
    pub mid_block_add_attention: bool,
}

const fn one() -> usize {
    1
}
const fn three() -> usize {
    3
}
const fn four() -> usize {
    4
}
const fn thirty_two() -> usize {
    32
}
const fn scaling_factor() -> f64 {
    0.18215
}
const fn yes() -> bool {
    true
}

impl VaeConfig {
    /// Pixels along one side of a latent.
    pub const fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Refuses what this family has not, before anything is allocated for it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_range(PART, "block_out_channels", self.block_out_channels.len(), 1, 8)?;
        check_range(PART, "latent_channels", self.latent_channels, 1, 64)?;
        check_range(PART, "in_channels", self.in_channels, 1, 16)?;
        check_range(PART, "out_channels", self.out_channels, 1, 16)?;
        check_range(PART, "layers_per_block", self.layers_per_block, 1, 16)?;
        check_range(PART, "norm_num_groups", self.norm_num_groups, 1, 256)?;
        for &channels in &self.block_out_channels {
            check_range(PART, "block_out_channels", channels, 1, 1 << 13)?;
            if channels % self.norm_num_groups != 0 {
                return Err(ConfigError::NotDivisible {
                    part: PART,
                    field: "block_out_channels",
                    by: "norm_num_groups",
                });
            }
        }
        Ok(())
    }
}
