//! diffusers' `AutoencoderKL` (Kingma and Welling, 2013; Rombach et al., 2022).

use super::VaeConfig;
use crate::{
    config::ConfigError,
    nn::{Builder, Conv2d, Conv2dShape, GroupNorm, Linear, attend},
    unet::{ResnetBlock2D, ResnetShape},
};
use burn::{module::Module, tensor::Tensor};

const EPSILON: f64 = 1e-6;

fn resnet(builder: &Builder<'_>, config: &VaeConfig, input: usize, output: usize) -> ResnetBlock2D {
    let groups = config.norm_num_groups;
    ResnetBlock2D::new(builder, ResnetShape { input, output, time: None, groups, epsilon: EPSILON })
}

#[derive(Module, Debug)]
struct AttentionBlock {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl AttentionBlock {
    fn new(builder: &Builder<'_>, groups: usize, channels: usize) -> Self {
        let linear = |names: &[&str]| Linear::new(&builder.pp_any(names), channels, channels);
        Self {
            group_norm: GroupNorm::new(&builder.pp("group_norm"), groups, channels, EPSILON),
            to_q: linear(&["to_q", "query"]),
            to_k: linear(&["to_k", "key"]),
            to_v: linear(&["to_v", "value"]),
            to_out: linear(&["to_out.0", "proj_attn"]),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let tokens = self.group_norm.forward(input.clone()).reshape([batch, channels, height * width]).swap_dims(1, 2);
        let query = self.to_q.forward(tokens.clone());
        let key = self.to_k.forward(tokens.clone());
        let value = self.to_v.forward(tokens);
        let output = self.to_out.forward(attend(query, key, value, 1, None));
        output.swap_dims(1, 2).reshape([batch, channels, height, width]) + input
    }
}

#[derive(Module, Debug)]
struct MidBlock {
    resnets: Vec<ResnetBlock2D>,
    attention: Option<AttentionBlock>,
}

impl MidBlock {
    fn new(builder: &Builder<'_>, config: &VaeConfig, channels: usize) -> Self {
        let resnets = builder.pp("resnets");
        Self {
            resnets: (0..2).map(|index| resnet(&resnets.pp(index), config, channels, channels)).collect(),
            attention: config
                .mid_block_add_attention
                .then(|| AttentionBlock::new(&builder.pp("attentions.0"), config.norm_num_groups, channels)),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut hidden = input;
        for (index, resnet) in self.resnets.iter().enumerate() {
            if let (1, Some(attention)) = (index, &self.attention) {
                hidden = attention.forward(hidden);
            }
            hidden = resnet.forward(hidden, None);
        }
        hidden
    }
}

#[derive(Module, Debug)]
struct DownBlock {
    resnets: Vec<ResnetBlock2D>,
    downsampler: Option<Conv2d>,
}

impl DownBlock {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.resnets.iter().fold(input, |hidden, resnet| resnet.forward(hidden, None));
        match &self.downsampler {
            // The reference pads right and below only here.
            Some(conv) => conv.forward(hidden.pad((0, 1, 0, 1), 0.0)),
            None => hidden,
        }
    }
}

#[derive(Module, Debug)]
struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    fn new(builder: &Builder<'_>, config: &VaeConfig) -> Self {
        let channels = &config.block_out_channels;
        let inner = channels[channels.len() - 1];
        let block = |level: usize| {
            let builder = builder.pp("down_blocks").pp(level);
            let (input, output) = (channels[level.saturating_sub(1)], channels[level]);
            let resnets = builder.pp("resnets");
            let downsampler = builder.pp("downsamplers.0.conv");
            let halve = Conv2dShape { padding: 0, ..Conv2dShape::DOWN3 };
            DownBlock {
                resnets: (0..config.layers_per_block)
                    .map(|index| resnet(&resnets.pp(index), config, if index == 0 { input } else { output }, output))
                    .collect(),
                downsampler: (level + 1 < channels.len()).then(|| Conv2d::new(&downsampler, output, output, halve)),
            }
        };
        Self {
            conv_in: Conv2d::new(&builder.pp("conv_in"), config.in_channels, channels[0], Conv2dShape::SAME3),
            down_blocks: (0..channels.len()).map(block).collect(),
            mid_block: MidBlock::new(&builder.pp("mid_block"), config, inner),
            conv_norm_out: GroupNorm::new(&builder.pp("conv_norm_out"), config.norm_num_groups, inner, EPSILON),
            conv_out: Conv2d::new(&builder.pp("conv_out"), inner, config.latent_channels * 2, Conv2dShape::SAME3),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv_in.forward(input);
        let hidden = self.down_blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
        let hidden = self.mid_block.forward(hidden);
        self.conv_out.forward(self.conv_norm_out.forward_silu(hidden))
    }
}

#[derive(Module, Debug)]
struct UpBlock {
    resnets: Vec<ResnetBlock2D>,
    upsampler: Option<Conv2d>,
}

impl UpBlock {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.resnets.iter().fold(input, |hidden, resnet| resnet.forward(hidden, None));
        match &self.upsampler {
            Some(conv) => conv.forward_doubled(hidden),
            None => hidden,
        }
    }
}

#[derive(Module, Debug)]
struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    fn new(builder: &Builder<'_>, config: &VaeConfig) -> Self {
        let inside_out: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (inner, outer) = (inside_out[0], inside_out[inside_out.len() - 1]);
        let block = |index: usize| {
            let builder = builder.pp("up_blocks").pp(index);
            let (input, output) = (inside_out[index.saturating_sub(1)], inside_out[index]);
            let resnets = builder.pp("resnets");
            let upsampler = builder.pp("upsamplers.0.conv");
            UpBlock {
                resnets: (0..=config.layers_per_block)
                    .map(|layer| resnet(&resnets.pp(layer), config, if layer == 0 { input } else { output }, output))
                    .collect(),
                upsampler: (index + 1 < inside_out.len())
                    .then(|| Conv2d::new(&upsampler, output, output, Conv2dShape::SAME3)),
            }
        };
        Self {
            conv_in: Conv2d::new(&builder.pp("conv_in"), config.latent_channels, inner, Conv2dShape::SAME3),
            mid_block: MidBlock::new(&builder.pp("mid_block"), config, inner),
            up_blocks: (0..inside_out.len()).map(block).collect(),
            conv_norm_out: GroupNorm::new(&builder.pp("conv_norm_out"), config.norm_num_groups, outer, EPSILON),
            conv_out: Conv2d::new(&builder.pp("conv_out"), outer, config.out_channels, Conv2dShape::SAME3),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.mid_block.forward(self.conv_in.forward(input));
        let hidden = self.up_blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
        self.conv_out.forward(self.conv_norm_out.forward_silu(hidden))
    }
}

/// A normal distribution over latents.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// `[batch, latent_channels, height, width]`.
    pub mean: Tensor<4>,
    /// The logarithm of the variance, clamped to -30..20 as in the reference; same shape.
    pub logvar: Tensor<4>,
}

impl Posterior {
    /// Means, then logarithms of variances.
    ///
    /// # Shapes
    ///
    /// - moments: `[batch, 2 latent_channels, height, width]`
    pub(super) fn from_moments(moments: Tensor<4>) -> Self {
        let [_, channels, _, _] = moments.dims();
        let mean = moments.clone().narrow(1, 0, channels / 2);
        let logvar = moments.narrow(1, channels / 2, channels / 2).clamp(-30.0, 20.0);
        Self { mean, logvar }
    }

    /// `mean + exp(logvar / 2) * noise`.
    pub fn sample(self, noise: Tensor<4>) -> Tensor<4> {
        self.mean + (self.logvar * 0.5).exp() * noise
    }
}

/// The autoencoder.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    #[module(skip)]
    config: VaeConfig,
}

impl AutoencoderKl {
    /// Builds the network that the configuration describes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &VaeConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let latent = config.latent_channels;
        let point = |name, channels| Conv2d::new(&builder.pp(name), channels, channels, Conv2dShape::POINT);
        Ok(Self {
            encoder: Encoder::new(&builder.pp("encoder"), config),
            decoder: Decoder::new(&builder.pp("decoder"), config),
            quant_conv: config.use_quant_conv.then(|| point("quant_conv", latent * 2)),
            post_quant_conv: config.use_post_quant_conv.then(|| point("post_quant_conv", latent)),
            config: config.clone(),
        })
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in -1..1
    /// - output: the distribution over latents, unscaled
    pub fn encode(&self, image: Tensor<4>) -> Posterior {
        Posterior::from_moments(self.moments(image))
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in -1..1
    /// - output: `[batch, 2 latent_channels, height / factor, width / factor]`
    pub(super) fn moments(&self, image: Tensor<4>) -> Tensor<4> {
        let hidden = self.encoder.forward(image);
        match &self.quant_conv {
            Some(conv) => conv.forward(hidden),
            None => hidden,
        }
    }

    /// Pixels along one side of a latent.
    pub(super) const fn factor(&self) -> usize {
        self.config.factor()
    }

    /// What it was built from.
    pub const fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// # Shapes
    ///
    /// - latents: `[batch, latent_channels, height, width]`, unscaled
    /// - output: `[batch, 3, factor * height, factor * width]`, about -1..1
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let latents = match &self.post_quant_conv {
            Some(conv) => conv.forward(latents),
            None => latents,
        };
        self.decoder.forward(latents)
    }

    /// From the encoder's latents to those that are denoised.
    pub fn scale(&self, latents: Tensor<4>) -> Tensor<4> {
        (latents - self.config.shift_factor.unwrap_or(0.0)) * self.config.scaling_factor
    }

    /// From denoised latents to those that the decoder takes.
    pub fn unscale(&self, latents: Tensor<4>) -> Tensor<4> {
        latents / self.config.scaling_factor + self.config.shift_factor.unwrap_or(0.0)
    }
}
