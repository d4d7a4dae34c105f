//! What a denoiser shares with networks that steer it.

use super::UNetConfig;
use std::fmt;

/// Where a ControlNet's results are added, and what it is conditioned on: both networks must agree in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderShape {
    channels: Vec<usize>,
    context: usize,
    is_added_to: bool,
}

impl EncoderShape {
    /// Of the network that a valid configuration describes.
    pub fn new(config: &UNetConfig) -> Self {
        let is_added_to = config.addition_embed_type.is_some();
        Self { channels: config.skip_channels(), context: config.cross_attention_dim.get(0), is_added_to }
    }
}

impl fmt::Display for EncoderShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.channels.last().copied().unwrap_or_default();
        let count = self.channels.len();
        write!(f, "{count} skips of up to {inner} channels and prompts of width {}", self.context)?;
        if self.is_added_to { write!(f, " with added conditions") } else { Ok(()) }
    }
}
