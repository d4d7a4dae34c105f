//! Down, mid and up blocks, with or without attention.

use super::{
    Context, ResnetBlock2D, ResnetShape, Tweaks, UNetConfig,
    transformer::{Transformer2DModel, TransformerShape},
};
use crate::nn::{Builder, Conv2d, Conv2dShape};
use burn::{module::Module, tensor::Tensor};

/// What the blocks of one UNet share.
pub struct BlockContext<'a> {
    pub config: &'a UNetConfig,
    pub time: usize,
}

impl BlockContext<'_> {
    fn resnet(&self, builder: &Builder<'_>, index: usize, input: usize, output: usize) -> ResnetBlock2D {
        let shape = ResnetShape {
            input,
            output,
            time: Some(self.time),
            groups: self.config.norm_num_groups,
            epsilon: self.config.norm_eps,
        };
        ResnetBlock2D::new(&builder.pp("resnets").pp(index), shape)
    }

    /// `level` counts resolutions from the outside in.
    fn attention(&self, builder: &Builder<'_>, index: usize, level: usize, layers: usize) -> Transformer2DModel {
        let shape = TransformerShape {
            width: self.config.block_out_channels[level],
            context: self.config.cross_attention_dim.get(level),
            heads: self.config.heads(level),
            layers,
            groups: self.config.norm_num_groups,
            linear: self.config.use_linear_projection,
        };
        Transformer2DModel::new(&builder.pp("attentions").pp(index), shape)
    }
}

/// `DownBlock2D` and `CrossAttnDownBlock2D`.
#[derive(Module, Debug)]
pub struct DownBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
    downsampler: Option<Conv2d>,
}

impl DownBlock {
    pub fn new(builder: &Builder<'_>, context: &BlockContext<'_>, level: usize) -> Self {
        let config = context.config;
        let output = config.block_out_channels[level];
        let input = if level == 0 { output } else { config.block_out_channels[level - 1] };
        let layers = config.layers_per_block.get(level);
        let with_attention = config.down_block_types[level].starts_with("CrossAttn");
        let depth = config.transformer_layers_per_block.get(level);
        let is_last = level + 1 == config.block_out_channels.len();
        let downsampler = builder.pp("downsamplers.0.conv");
        Self {
            resnets: (0..layers)
                .map(|index| context.resnet(builder, index, if index == 0 { input } else { output }, output))
                .collect(),
            attentions: (0..if with_attention { layers } else { 0 })
                .map(|index| context.attention(builder, index, level, depth))
                .collect(),
            downsampler: (!is_last).then(|| Conv2d::new(&downsampler, output, output, Conv2dShape::DOWN3)),
        }
    }

    /// Pushes every intermediate result that an up block will want.
    pub fn forward(
        &self,
        input: Tensor<4>,
        time: &Tensor<2>,
        context: &Context,
        skips: &mut Vec<Tensor<4>>,
        tweaks: Tweaks<'_>,
    ) -> Tensor<4> {
        let mut hidden = input;
        for (index, resnet) in self.resnets.iter().enumerate() {
            hidden = resnet.forward(hidden, Some(time));
            if let Some(attention) = self.attentions.get(index) {
                hidden = attention.forward(hidden, context, tweaks);
            }
            skips.push(hidden.clone());
        }
        if let Some(conv) = &self.downsampler {
            hidden = conv.forward(hidden);
            skips.push(hidden.clone());
        }
        hidden
    }
}

/// `UNetMidBlock2DCrossAttn`, and `UNetMidBlock2D` without attention.
#[derive(Module, Debug)]
pub struct MidBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
}

impl MidBlock {
    pub fn new(builder: &Builder<'_>, context: &BlockContext<'_>) -> Self {
        let config = context.config;
        let level = config.block_out_channels.len() - 1;
        let channels = config.block_out_channels[level];
        let with_attention = config.mid_block_type.as_deref() == Some("UNetMidBlock2DCrossAttn");
        let depth = config.transformer_layers_per_block.get(level);
        Self {
            resnets: (0..if with_attention { 2 } else { 1 })
                .map(|index| context.resnet(builder, index, channels, channels))
                .collect(),
            attentions: (0..usize::from(with_attention))
                .map(|index| context.attention(builder, index, level, depth))
                .collect(),
        }
    }

    pub fn forward(&self, input: Tensor<4>, time: &Tensor<2>, context: &Context, tweaks: Tweaks<'_>) -> Tensor<4> {
        let mut hidden = input;
        for (index, resnet) in self.resnets.iter().enumerate() {
            if let Some(attention) = index.checked_sub(1).and_then(|before| self.attentions.get(before)) {
                hidden = attention.forward(hidden, context, tweaks);
            }
            hidden = resnet.forward(hidden, Some(time));
        }
        hidden
    }
}

/// `UpBlock2D` and `CrossAttnUpBlock2D`.
#[derive(Module, Debug)]
pub struct UpBlock {
    resnets: Vec<ResnetBlock2D>,
    attentions: Vec<Transformer2DModel>,
    upsampler: Option<Conv2d>,
}

impl UpBlock {
    /// `index` counts from the inside out, as the reference does.
    pub fn new(builder: &Builder<'_>, context: &BlockContext<'_>, index: usize) -> Self {
        let config = context.config;
        let channels = &config.block_out_channels;
        let level = channels.len() - 1 - index;
        let output = channels[level];
        let below = if index == 0 { output } else { channels[level + 1] };
        let beside = channels[level.saturating_sub(1)];
        let layers = config.layers_per_block.get(level) + 1;
        let with_attention = config.up_block_types[index].starts_with("CrossAttn");
        let depth = config.transformer_layers_per_block.get(level);
        let upsampler = builder.pp("upsamplers.0.conv");
        Self {
            resnets: (0..layers)
                .map(|index| {
                    let input = if index == 0 { below } else { output };
                    let skip = if index + 1 == layers { beside } else { output };
                    context.resnet(builder, index, input + skip, output)
                })
                .collect(),
            attentions: (0..if with_attention { layers } else { 0 })
                .map(|index| context.attention(builder, index, level, depth))
                .collect(),
            upsampler: (level > 0).then(|| Conv2d::new(&upsampler, output, output, Conv2dShape::SAME3)),
        }
    }

    /// Pops one skip for each residual block; the block is the how-manyth from the inside out.
    pub fn forward(
        &self,
        input: Tensor<4>,
        time: &Tensor<2>,
        context: &Context,
        skips: &mut Vec<Tensor<4>>,
        (tweaks, block): (Tweaks<'_>, usize),
    ) -> Tensor<4> {
        let mut hidden = input;
        let stage = tweaks.stage(block);
        for (index, resnet) in self.resnets.iter().enumerate() {
            if let Some(mut skip) = skips.pop() {
                if let Some(stage) = stage {
                    (hidden, skip) = stage.apply(hidden, skip);
                }
                hidden = Tensor::cat(vec![hidden, skip], 1);
            }
            hidden = resnet.forward(hidden, Some(time));
            if let Some(attention) = self.attentions.get(index) {
                hidden = attention.forward(hidden, context, tweaks);
            }
        }
        match &self.upsampler {
            Some(conv) => conv.forward_doubled(hidden),
            None => hidden,
        }
    }
}
