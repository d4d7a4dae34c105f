//! From the picture that steers to the size of latents.

use super::ControlNetConfig;
use crate::nn::{Builder, Conv2d, Conv2dShape};
use burn::{
    module::Module,
    tensor::{Tensor, activation::silu},
};

/// diffusers' `ControlNetConditioningEmbedding`: convolutions that halve the sides as often as the autoencoder does.
#[derive(Module, Debug)]
pub(super) struct ConditioningEmbedding {
    conv_in: Conv2d,
    blocks: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl ConditioningEmbedding {
    pub(super) fn new(builder: &Builder<'_>, config: &ControlNetConfig) -> Self {
        let channels = &config.conditioning_embedding_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        let blocks = builder.pp("blocks");
        let pair = |level: usize| {
            let (input, output) = (channels[level], channels[level + 1]);
            [
                Conv2d::new(&blocks.pp(2 * level), input, input, Conv2dShape::SAME3),
                Conv2d::new(&blocks.pp(2 * level + 1), input, output, Conv2dShape::DOWN3),
            ]
        };
        let out = config.unet.block_out_channels[0];
        Self {
            conv_in: Conv2d::new(&builder.pp("conv_in"), config.conditioning_channels, first, Conv2dShape::SAME3),
            blocks: (0..channels.len() - 1).flat_map(pair).collect(),
            conv_out: Conv2d::new(&builder.pp("conv_out"), last, out, Conv2dShape::SAME3),
        }
    }

    /// # Shapes
    ///
    /// - picture: `[batch, conditioning_channels, height, width]` in 0..1
    /// - output: `[batch, block_out_channels[0], height / factor, width / factor]`
    pub(super) fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        let hidden = silu(self.conv_in.forward(picture));
        let hidden = self.blocks.iter().fold(hidden, |hidden, block| silu(block.forward(hidden)));
        self.conv_out.forward(hidden)
    }
}
