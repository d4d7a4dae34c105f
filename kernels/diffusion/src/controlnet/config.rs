//! `config.json` of a ControlNet.

use crate::{
    config::{ConfigError, check_range},
    unet::UNetConfig,
};
use serde::Deserialize;

const PART: &str = "controlnet";

/// What a ControlNet is made of; fields as in the reference.
#[derive(Debug, Clone, Deserialize)]
pub struct ControlNetConfig {
    /// The half of a denoiser that it repeats.
    #[serde(flatten)]
    pub unet: UNetConfig,
    /// Channels of the picture that steers.
    #[serde(default = "three")]
    pub conditioning_channels: usize,
    /// Channels on the picture's way down to the size of latents.
    #[serde(default = "channels")]
    pub conditioning_embedding_out_channels: Vec<usize>,
    /// `rgb`, or `bgr` for networks that were trained on pictures as OpenCV reads them.
    #[serde(default = "rgb")]
    pub controlnet_conditioning_channel_order: String,
    /// Whether the residuals are means over all pixels, as in networks that know a picture's content and not its layout.
    #[serde(default)]
    pub global_pool_conditions: bool,
}

const fn three() -> usize {
    3
}
fn channels() -> Vec<usize> {
    vec![16, 32, 96, 256]
}
fn rgb() -> String {
    "rgb".to_owned()
}

impl ControlNetConfig {
    /// Reads the file and refuses what this family has not.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = serde_json::from_str(text).map_err(|source| ConfigError::Json { part: PART, source })?;
        // There are no up blocks, and the file names none.
        config.unet.up_block_types =
            config.unet.down_block_types.iter().rev().map(|kind| kind.replace("Down", "Up")).collect();
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.unet.validate()?;
        check_range(PART, "conditioning_channels", self.conditioning_channels, 1, 16)?;
        let channels = &self.conditioning_embedding_out_channels;
        check_range(PART, "conditioning_embedding_out_channels", channels.len(), 1, 8)?;
        for &channels in channels {
            check_range(PART, "conditioning_embedding_out_channels", channels, 1, 1 << 13)?;
        }
        let order = &self.controlnet_conditioning_channel_order;
        if !matches!(order.as_str(), "rgb" | "bgr") {
            let field = "controlnet_conditioning_channel_order";
            return Err(ConfigError::Unsupported { part: PART, field, found: order.clone() });
        }
        Ok(())
    }

    /// Pixels along one side of a latent.
    pub const fn factor(&self) -> usize {
        1 << (self.conditioning_embedding_out_channels.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_shape_has_twelve_residuals() {
        let config = ControlNetConfig::from_json(r#"{"attention_head_dim": 8, "cross_attention_dim": 768}"#).unwrap();
        let expected = [320, 320, 320, 320, 640, 640, 640, 1280, 1280, 1280, 1280, 1280];
        assert_eq!(config.unet.skip_channels(), expected);
        assert_eq!(config.factor(), 8);
    }

    #[test]
    fn unknown_channel_orders_are_refused() {
        let error = ControlNetConfig::from_json(r#"{"controlnet_conditioning_channel_order": "gbr"}"#).unwrap_err();
        assert!(error.to_string().contains("`gbr`, which is not supported"), "{error}");
    }
}
