//! The whole UNet.

use super::{
    Context, EncoderShape, Residuals, Tweaks, UNetConfig,
    added::AddedEmbedding,
    blocks::{BlockContext, DownBlock, MidBlock, UpBlock},
    time_embedding::{TimestepEmbedding, sinusoids},
};
use crate::{
    config::ConfigError,
    nn::{Builder, Conv2d, Conv2dShape, GroupNorm},
};
use burn::{module::Module, tensor::Tensor};

/// Predicts the noise (or the velocity) in noisy latents, given a timestep and what the text encoder said.
#[derive(Module, Debug)]
pub struct UNet2DConditionModel {
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    add_embedding: Option<AddedEmbedding>,
    down_blocks: Vec<DownBlock>,
    mid_block: Option<MidBlock>,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    time_width: usize,
    #[module(skip)]
    flip_sin_to_cos: bool,
    #[module(skip)]
    freq_shift: f64,
    #[module(skip)]
    shape: EncoderShape,
}

impl UNet2DConditionModel {
    /// Builds the network that the configuration describes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &UNetConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let outer = config.block_out_channels[0];
        let blocks = config.block_out_channels.len();
        let context = BlockContext { config, time: outer * 4 };
        let (down, up) = (builder.pp("down_blocks"), builder.pp("up_blocks"));
        let mid = builder.pp("mid_block");
        Ok(Self {
            conv_in: Conv2d::new(&builder.pp("conv_in"), config.in_channels, outer, Conv2dShape::SAME3),
            time_embedding: TimestepEmbedding::new(&builder.pp("time_embedding"), outer, outer * 4),
            add_embedding: AddedEmbedding::new(&builder.pp("add_embedding"), config, outer * 4),
            down_blocks: (0..blocks).map(|level| DownBlock::new(&down.pp(level), &context, level)).collect(),
            mid_block: config.mid_block_type.is_some().then(|| MidBlock::new(&mid, &context)),
            up_blocks: (0..blocks).map(|index| UpBlock::new(&up.pp(index), &context, index)).collect(),
            conv_norm_out: GroupNorm::new(&builder.pp("conv_norm_out"), config.norm_num_groups, outer, config.norm_eps),
            conv_out: Conv2d::new(&builder.pp("conv_out"), outer, config.out_channels, Conv2dShape::SAME3),
            time_width: outer,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            shape: EncoderShape::new(config),
        })
    }

    /// What it shares with the ControlNets that fit it.
    pub const fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    /// # Shapes
    ///
    /// - sample: `[batch, in_channels, height, width]`, each side divisible by 2 for every block but the last
    /// - timesteps: `[batch]`
    /// - context: of `batch` prompts, and of no other model's run
    /// - output: `[batch, out_channels, height, width]`
    pub fn forward(&self, sample: Tensor<4>, timesteps: &[f64], context: &Context) -> Tensor<4> {
        self.forward_with(sample, timesteps, context, None)
    }

    /// [`Self::forward`] with what other networks add.
    pub fn forward_with(
        &self,
        sample: Tensor<4>,
        timesteps: &[f64],
        context: &Context,
        residuals: Option<&Residuals>,
    ) -> Tensor<4> {
        self.forward_tweaked(sample, timesteps, context, residuals, Tweaks::default())
    }

    /// [`Self::forward_with`], changed from within.
    pub fn forward_tweaked(
        &self,
        sample: Tensor<4>,
        timesteps: &[f64],
        context: &Context,
        residuals: Option<&Residuals>,
        tweaks: Tweaks<'_>,
    ) -> Tensor<4> {
        let [_, _, height, width] = sample.dims();
        let asked = Tweaks { latents: [height, width], ..tweaks };
        let tweaks = asked.unasked();
        let time = sinusoids(timesteps, self.time_width, self.flip_sin_to_cos, self.freq_shift, &sample.device());
        let time = match self.add_embedding.as_ref().and_then(|embedding| context.added(embedding)) {
            Some(added) => self.time_embedding.forward_added_silu(time, added),
            None => self.time_embedding.forward_silu(time),
        };

        let mut hidden = self.conv_in.forward(sample);
        let mut skips = vec![hidden.clone()];
        for block in &self.down_blocks {
            hidden = block.forward(hidden, &time, context, &mut skips, tweaks);
        }
        if let Some(mid) = &self.mid_block {
            hidden = mid.forward(hidden, &time, context, asked);
        }
        if let Some(residuals) = residuals {
            residuals.add_to_skips(&mut skips);
            hidden = hidden + residuals.mid.clone();
        }
        for (index, block) in self.up_blocks.iter().enumerate() {
            hidden = block.forward(hidden, &time, context, &mut skips, (tweaks, index));
        }
        self.conv_out.forward(self.conv_norm_out.forward_silu(hidden))
    }
}
