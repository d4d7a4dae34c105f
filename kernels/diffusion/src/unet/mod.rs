//! The denoiser: diffusers' `UNet2DConditionModel` (Rombach et al., 2022).

mod added;
mod blocks;
mod config;
mod context;
mod cost;
mod encoder_shape;
mod free_u;
mod model;
mod residuals;
mod skip_inputs;
mod time_embedding;
mod token_merging;
mod transformer;
mod tweaks;

pub use added::AddedConditions;
pub use config::{PerBlock, UNetConfig};
pub use context::Context;
pub use cost::Cost;
pub use encoder_shape::EncoderShape;
pub use free_u::FreeU;
pub use model::UNet2DConditionModel;
pub use residuals::Residuals;
pub use skip_inputs::SkipInput;
pub use token_merging::{TokenMerger, TokenMerging};
pub use tweaks::{AttentionProbe, Tweaks};

pub(crate) use added::AddedEmbedding;
pub(crate) use blocks::{BlockContext, DownBlock, MidBlock};
pub(crate) use time_embedding::{TimestepEmbedding, sinusoids};

use crate::nn::{Builder, Conv2d, Conv2dShape, GroupNorm, Linear};
use burn::{module::Module, tensor::Tensor};

/// Sizes of a residual block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResnetShape {
    pub input: usize,
    pub output: usize,
    pub time: Option<usize>,
    pub groups: usize,
    pub epsilon: f64,
}

/// diffusers' `ResnetBlock2D`, which the autoencoder uses too, without a time.
#[derive(Module, Debug)]
pub(crate) struct ResnetBlock2D {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock2D {
    pub(crate) fn new(builder: &Builder<'_>, shape: ResnetShape) -> Self {
        let ResnetShape { input, output, time, groups, epsilon } = shape;
        let block = Self {
            norm1: GroupNorm::new(&builder.pp("norm1"), groups, input, epsilon),
            conv1: Conv2d::new(&builder.pp("conv1"), input, output, Conv2dShape::SAME3),
            time_emb_proj: time.map(|time| Linear::new(&builder.pp("time_emb_proj"), time, output)),
            norm2: GroupNorm::new(&builder.pp("norm2"), groups, output, epsilon),
            conv2: Conv2d::new(&builder.pp("conv2"), output, output, Conv2dShape::SAME3),
            conv_shortcut: (input != output)
                .then(|| Conv2d::new(&builder.pp("conv_shortcut"), input, output, Conv2dShape::POINT)),
        };
        block.folded()
    }

    /// The same with the first convolution's bias in the time's layer, which gives the convolution one for each picture.
    fn folded(mut self) -> Self {
        if let Some(bias) = self.conv1.bias_to_fold()
            && let Some(time) = self.time_emb_proj.as_mut().and_then(Linear::packed_mut)
        {
            time.add_to_bias(bias);
        }
        self
    }

    /// The first convolution, and the time, where both are our own kernels'.
    fn first_with_time(&self, normed: &Tensor<4>, time: Option<&Tensor<2>>) -> Option<Tensor<4>> {
        let proj = self.time_emb_proj.as_ref()?;
        // Only a packed one has the other's bias.
        proj.packed()?;
        self.conv1.forward_biased(normed, proj.forward_rows(time?.clone()))
    }

    /// # Shapes
    ///
    /// - input: `[batch, in_channels, height, width]`
    /// - time: `[batch, time_channels]`, after its activation
    /// - output: `[batch, out_channels, height, width]`
    pub(crate) fn forward(&self, input: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let normed = self.norm1.forward_silu(input.clone());
        let hidden = self.first_with_time(&normed, time).unwrap_or_else(|| {
            let hidden = self.conv1.forward(normed);
            match (&self.time_emb_proj, time) {
                (Some(proj), Some(time)) => hidden + proj.forward_rows(time.clone()).unsqueeze_dims::<4>(&[2, 3]),
                _ => hidden,
            }
        });
        let input = match &self.conv_shortcut {
            Some(conv) => conv.forward(input),
            None => input,
        };
        self.conv2.forward_add(self.norm2.forward_silu(hidden), input)
    }
}
