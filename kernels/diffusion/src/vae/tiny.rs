//! diffusers' `AutoencoderTiny` (TAESD by Ollin Boer Bohan), for previews, and for whole pictures where a model has no other.

use crate::{
    config::{ConfigError, check_range},
    nn::{Builder, Conv2d, Conv2dShape},
};
use burn::{
    module::Module,
    tensor::{Tensor, activation::tanh},
};
use serde::{Deserialize, Serialize};

const PART: &str = "taesd";

/// `config.json` of the small autoencoder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TinyVaeConfig {
    /// Channels of a picture.
    pub in_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels of each resolution in the encoder.
    pub encoder_block_out_channels: Vec<usize>,
    /// Channels of each resolution in the decoder.
    pub decoder_block_out_channels: Vec<usize>,
    /// Blocks of each resolution in the encoder.
    pub num_encoder_blocks: Vec<usize>,
    /// Blocks of each resolution in the decoder.
    pub num_decoder_blocks: Vec<usize>,
    /// What latents are multiplied with before they are denoised.
    pub scaling_factor: f64,
}

impl TinyVaeConfig {
    /// TAESD for Stable Diffusion 1.x and 2.x, as `madebyollin/taesd` has it.
    pub fn taesd() -> Self {
        Self {
            in_channels: 3,
            latent_channels: 4,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            scaling_factor: 1.0,
        }
    }

    /// Pixels along one side of a latent.
    pub const fn factor(&self) -> usize {
        1 << (self.decoder_block_out_channels.len() - 1)
    }

    /// Refuses what no such network has.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_range(PART, "in_channels", self.in_channels, 1, 16)?;
        check_range(PART, "latent_channels", self.latent_channels, 1, 64)?;
        let sides = [
            ("encoder_block_out_channels", &self.encoder_block_out_channels, self.num_encoder_blocks.len()),
            ("decoder_block_out_channels", &self.decoder_block_out_channels, self.num_decoder_blocks.len()),
        ];
        for (field, channels, expected) in sides {
            check_range(PART, field, channels.len(), 1, 8)?;
            if channels.len() != expected {
                return Err(ConfigError::Length { part: PART, field, expected, found: channels.len() });
            }
            channels.iter().try_for_each(|&channels| check_range(PART, field, channels, 1, 1 << 12))?;
        }
        for &blocks in self.num_encoder_blocks.iter().chain(&self.num_decoder_blocks) {
            check_range(PART, "num_encoder_blocks", blocks, 0, 32)?;
        }
        Ok(())
    }
}

#[derive(Module, Debug)]
struct Block {
    convs: [Conv2d; 3],
}

impl Block {
    fn new(builder: &Builder<'_>, channels: usize) -> Self {
        let conv = |index: usize| Conv2d::new(&builder.pp("conv").pp(index), channels, channels, Conv2dShape::SAME3);
        Self { convs: [0, 2, 4].map(conv) }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [first, second, last] = &self.convs;
        last.forward_add_relu(second.forward_relu(first.forward_relu(input.clone())), input)
    }
}

#[derive(Module, Debug)]
struct Stage {
    before: Option<Conv2d>,
    blocks: Vec<Block>,
    after: Option<Conv2d>,
}

/// The small autoencoder.
#[derive(Module, Debug)]
pub struct AutoencoderTiny {
    encoder: Vec<Stage>,
    decoder: Vec<Stage>,
    #[module(skip)]
    scaling_factor: f64,
}

impl AutoencoderTiny {
    /// Builds the network that the configuration describes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &TinyVaeConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            encoder: encoder(&builder.pp("encoder").pp("layers"), config),
            decoder: decoder(&builder.pp("decoder").pp("layers"), config),
            scaling_factor: config.scaling_factor,
        })
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in -1..1
    /// - output: `[batch, latent_channels, height / factor, width / factor]`
    pub fn encode(&self, image: Tensor<4>) -> Tensor<4> {
        self.encoder.iter().fold((image + 1.0) / 2.0, forward_stage)
    }

    /// # Shapes
    ///
    /// - latents: `[batch, latent_channels, height, width]`
    /// - output: `[batch, 3, factor * height, factor * width]`, about -1..1
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let mut hidden = tanh(latents / 3.0) * 3.0;
        for (index, stage) in self.decoder.iter().enumerate() {
            if let Some(conv) = &stage.before {
                hidden = conv.forward_relu(hidden);
            }
            hidden = stage.blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
            let is_last = index + 1 == self.decoder.len();
            hidden = match &stage.after {
                Some(conv) if is_last => conv.forward(hidden),
                Some(conv) => conv.forward_doubled(hidden),
                None => hidden,
            };
        }
        hidden * 2.0 - 1.0
    }

    /// From the encoder's latents to those that are denoised.
    pub fn scale(&self, latents: Tensor<4>) -> Tensor<4> {
        latents * self.scaling_factor
    }

    /// From denoised latents to those that the decoder takes.
    pub fn unscale(&self, latents: Tensor<4>) -> Tensor<4> {
        latents / self.scaling_factor
    }
}

fn forward_stage(input: Tensor<4>, stage: &Stage) -> Tensor<4> {
    let Stage { before, blocks, after } = stage;
    let hidden = match before {
        Some(conv) => conv.forward(input),
        None => input,
    };
    let hidden = blocks.iter().fold(hidden, |hidden, block| block.forward(hidden));
    match after {
        Some(conv) => conv.forward(hidden),
        None => hidden,
    }
}

fn encoder(builder: &Builder<'_>, config: &TinyVaeConfig) -> Vec<Stage> {
    let mut index = 0;
    let mut next = || {
        index += 1;
        builder.pp(index - 1)
    };
    let count = config.num_encoder_blocks.len();
    (0..count)
        .map(|stage| {
            let channels = config.encoder_block_out_channels[stage];
            let before = if stage == 0 {
                Conv2d::new(&next(), config.in_channels, channels, Conv2dShape::SAME3)
            } else {
                Conv2d::without_bias(&next(), channels, channels, Conv2dShape::DOWN3)
            };
            let blocks = (0..config.num_encoder_blocks[stage]).map(|_| Block::new(&next(), channels)).collect();
            let after = (stage + 1 == count)
                .then(|| Conv2d::new(&next(), channels, config.latent_channels, Conv2dShape::SAME3));
            Stage { before: Some(before), blocks, after }
        })
        .collect()
}

fn decoder(builder: &Builder<'_>, config: &TinyVaeConfig) -> Vec<Stage> {
    let mut index = 0;
    let mut next = || {
        index += 1;
        builder.pp(index - 1)
    };
    let count = config.num_decoder_blocks.len();
    (0..count)
        .map(|stage| {
            let channels = config.decoder_block_out_channels[stage];
            let is_last = stage + 1 == count;
            let before = (stage == 0).then(|| {
                let conv = Conv2d::new(&next(), config.latent_channels, channels, Conv2dShape::SAME3);
                next(); // the activation's place
                conv
            });
            let blocks = (0..config.num_decoder_blocks[stage]).map(|_| Block::new(&next(), channels)).collect();
            if !is_last {
                next(); // the upsampling's place
            }
            let after = if is_last {
                Conv2d::new(&next(), channels, config.in_channels, Conv2dShape::SAME3)
            } else {
                Conv2d::without_bias(&next(), channels, channels, Conv2dShape::SAME3)
            };
            Stage { before, blocks, after: Some(after) }
        })
        .collect()
}
