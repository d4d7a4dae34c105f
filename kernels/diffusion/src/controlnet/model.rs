//! The network.

use super::{ControlNetConfig, embedding::ConditioningEmbedding};
use crate::{
    config::ConfigError,
    nn::{Builder, Conv2d, Conv2dShape},
    unet::{
        AddedEmbedding, BlockContext, Context, DownBlock, EncoderShape, MidBlock, Residuals, TimestepEmbedding, Tweaks,
        sinusoids,
    },
};
use burn::{module::Module, tensor::Tensor};

/// How strongly a ControlNet steers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControlScale {
    /// What every residual is multiplied with.
    pub weight: f64,
    /// Whether the outer residuals count less, from a tenth to the whole: what guess mode does, where no prompt tells the
    /// network what the picture shows.
    pub graded: bool,
}

impl ControlScale {
    /// The scales of so many residuals, the middle's last.
    fn of(self, count: usize) -> Vec<f64> {
        let last = count.saturating_sub(1).max(1) as f64;
        let grade = |index: usize| if self.graded { libm::pow(10.0, index as f64 / last - 1.0) } else { 1.0 };
        (0..count).map(|index| self.weight * grade(index)).collect()
    }
}

/// The down blocks and the middle of a denoiser, and a convolution on each of their results.
#[derive(Module, Debug)]
pub struct ControlNetModel {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    add_embedding: Option<AddedEmbedding>,
    controlnet_cond_embedding: ConditioningEmbedding,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    controlnet_down_blocks: Vec<Conv2d>,
    controlnet_mid_block: Conv2d,
    #[module(skip)]
    time_width: usize,
    #[module(skip)]
    flip_sin_to_cos: bool,
    #[module(skip)]
    freq_shift: f64,
    #[module(skip)]
    is_bgr: bool,
    #[module(skip)]
    pools: bool,
    #[module(skip)]
    channels: usize,
    #[module(skip)]
    shape: EncoderShape,
}

impl ControlNetModel {
    /// Builds the network that the configuration describes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &ControlNetConfig) -> Result<Self, ConfigError> {
        let unet = &config.unet;
        let outer = unet.block_out_channels[0];
        let levels = unet.block_out_channels.len();
        let inner = unet.block_out_channels[levels - 1];
        let context = BlockContext { config: unet, time: outer * 4 };
        let (down, zero) = (builder.pp("down_blocks"), builder.pp("controlnet_down_blocks"));
        let point = |builder: &Builder<'_>, width| Conv2d::new(builder, width, width, Conv2dShape::POINT);
        Ok(Self {
            conv_in: Conv2d::new(&builder.pp("conv_in"), unet.in_channels, outer, Conv2dShape::SAME3),
            time_embedding: TimestepEmbedding::new(&builder.pp("time_embedding"), outer, outer * 4),
            add_embedding: AddedEmbedding::new(&builder.pp("add_embedding"), unet, outer * 4),
            controlnet_cond_embedding: ConditioningEmbedding::new(&builder.pp("controlnet_cond_embedding"), config),
            down_blocks: (0..levels).map(|level| DownBlock::new(&down.pp(level), &context, level)).collect(),
            mid_block: unet.mid_block_type.is_some().then(|| MidBlock::new(&builder.pp("mid_block"), &context)),
            controlnet_down_blocks: unet
                .skip_channels()
                .into_iter()
                .enumerate()
                .map(|(index, width)| point(&zero.pp(index), width))
                .collect(),
            controlnet_mid_block: point(&builder.pp("controlnet_mid_block"), inner),
            time_width: outer,
            flip_sin_to_cos: unet.flip_sin_to_cos,
            freq_shift: unet.freq_shift,
            is_bgr: config.controlnet_conditioning_channel_order == "bgr",
            pools: config.global_pool_conditions,
            channels: config.conditioning_channels,
            shape: EncoderShape::new(unet),
        })
    }

    /// Whether the residuals are means over all pixels, which implies guess mode's halves.
    pub const fn pools(&self) -> bool {
        self.pools
    }

    /// Channels of the picture that steers.
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// What it shares with the denoisers that it fits.
    pub const fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    /// What the network takes of a picture, the same at every step.
    ///
    /// # Shapes
    ///
    /// - picture: `[batch, conditioning_channels, height, width]` in 0..1
    /// - output: `[batch, block_out_channels[0], height / factor, width / factor]`
    pub fn embed(&self, picture: Tensor<4>) -> Tensor<4> {
        let picture = if self.is_bgr { picture.flip([1]) } else { picture };
        self.controlnet_cond_embedding.forward(picture)
    }

    /// # Shapes
    ///
    /// - sample: `[batch, in_channels, height, width]`
    /// - timesteps: `[batch]`
    /// - context: of `batch` prompts
    /// - embedded: `[1 or batch, block_out_channels[0], height, width]`, by [`Self::embed`]
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timesteps: &[f64],
        context: &Context,
        embedded: Tensor<4>,
        scale: ControlScale,
    ) -> Residuals {
        let time = sinusoids(timesteps, self.time_width, self.flip_sin_to_cos, self.freq_shift, &sample.device());
        let time = match (&self.add_embedding, context.added_conditions()) {
            (Some(embedding), Some(added)) => self.time_embedding.forward_added_silu(time, embedding.forward(added)),
            _ => self.time_embedding.forward_silu(time),
        };
        let mut hidden = self.conv_in.forward(sample) + embedded;
        let mut skips = vec![hidden.clone()];
        for block in &self.down_blocks {
            hidden = block.forward(hidden, &time, context, &mut skips, Tweaks::default());
        }
        if let Some(mid) = &self.mid_block {
            hidden = mid.forward(hidden, &time, context, Tweaks::default());
        }
        let scale = ControlScale { graded: scale.graded && !self.pools, ..scale };
        let scales = scale.of(skips.len() + 1);
        let pooled = |residual: Tensor<4>| if self.pools { residual.mean_dim(3).mean_dim(2) } else { residual };
        let down = self.controlnet_down_blocks.iter().zip(skips).zip(&scales);
        Residuals {
            down: down.map(|((conv, skip), &scale)| pooled(conv.forward(skip) * scale)).collect(),
            mid: pooled(self.controlnet_mid_block.forward(hidden) * scales[scales.len() - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guess_mode_grades_from_a_tenth_to_the_whole() {
        let scales = ControlScale { weight: 0.5, graded: true }.of(3);
        for (found, expected) in scales.iter().zip([0.05, 0.158_113_883, 0.5]) {
            assert!((found - expected).abs() < 1e-9, "{scales:?}");
        }
        assert_eq!(ControlScale { weight: 0.5, graded: false }.of(2), [0.5, 0.5]);
    }
}
