//! `RRDBNet` of ESRGAN and Real-ESRGAN: residual dense blocks in residual blocks (Wang et al., 2018).

use super::shuffle::pixel_unshuffle;
use crate::{
    config::{ConfigError, check_range},
    nn::{Builder, Conv2d, Conv2dShape},
};
use burn::{
    module::Module,
    tensor::{Tensor, activation::leaky_relu},
};

const PART: &str = "RRDBNet";
const SLOPE: f64 = 0.2;
/// What a residual counts.
const SHARE: f64 = 0.2;
/// Convolutions of a dense block.
const DENSE: usize = 5;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RrdbConfig {
    /// How often a picture's sides come out: 4, or less where the picture goes in with its pixels as channels.
    pub scale: usize,
    /// Channels between blocks.
    pub width: usize,
    /// Channels that each convolution of a dense block adds.
    pub growth: usize,
    /// Blocks.
    pub blocks: usize,
}

impl RrdbConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        check_range(PART, "width", self.width, 1, 1 << 10)?;
        check_range(PART, "growth", self.growth, 1, 1 << 10)?;
        check_range(PART, "blocks", self.blocks, 1, 64)?;
        if matches!(self.scale, 1 | 2 | 4) {
            return Ok(());
        }
        Err(ConfigError::Unsupported { part: PART, field: "scale", found: self.scale.to_string() })
    }
}

#[derive(Module, Debug)]
struct DenseBlock {
    convs: Vec<Conv2d>,
}

impl DenseBlock {
    /// `number` counts from 1.
    fn new(builder: &Builder<'_>, number: usize, config: &RrdbConfig) -> Self {
        let RrdbConfig { width, growth, .. } = *config;
        let block = builder.pp_any(&[&format!("rdb{number}"), &format!("RDB{number}")]);
        let conv = |index: usize| {
            let output = if index + 1 < DENSE { growth } else { width };
            let name = format!("conv{}", index + 1);
            // The oldest files have the convolution in a row with its activation.
            let wrapped = format!("{name}.0");
            let builder = if block.has(&wrapped) { block.pp(&wrapped) } else { block.pp(&name) };
            Conv2d::new(&builder, width + index * growth, output, Conv2dShape::SAME3)
        };
        Self { convs: (0..DENSE).map(conv).collect() }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut seen = vec![input.clone()];
        for conv in &self.convs[..DENSE - 1] {
            seen.push(leaky_relu(conv.forward(Tensor::cat(seen.clone(), 1)), SLOPE));
        }
        self.convs[DENSE - 1].forward(Tensor::cat(seen, 1)) * SHARE + input
    }
}

#[derive(Module, Debug)]
struct Rrdb {
    blocks: Vec<DenseBlock>,
}

impl Rrdb {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.blocks.iter().fold(input.clone(), |hidden, block| block.forward(hidden)) * SHARE + input
    }
}

/// The large network.
#[derive(Module, Debug)]
pub struct RrdbNet {
    conv_first: Conv2d,
    body: Vec<Rrdb>,
    conv_body: Conv2d,
    conv_up1: Conv2d,
    conv_up2: Conv2d,
    conv_hr: Conv2d,
    conv_last: Conv2d,
    #[module(skip)]
    scale: usize,
}

impl RrdbNet {
    /// Builds the network; its layers are found under Real-ESRGAN's names and both that ESRGAN's files had before.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &RrdbConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let RrdbConfig { scale, width, blocks, .. } = *config;
        let conv =
            |names: &[&str], input, output| Conv2d::new(&builder.pp_any(names), input, output, Conv2dShape::SAME3);
        let block = |index: usize| {
            let names = [format!("body.{index}"), format!("RRDB_trunk.{index}"), format!("model.1.sub.{index}")];
            let builder = builder.pp_any(&names.each_ref().map(String::as_str));
            Rrdb { blocks: (1..=3).map(|number| DenseBlock::new(&builder, number, config)).collect() }
        };
        Ok(Self {
            conv_first: conv(&["conv_first", "model.0"], 3 * (4 / scale) * (4 / scale), width),
            body: (0..blocks).map(block).collect(),
            conv_body: conv(&["conv_body", "trunk_conv", &format!("model.1.sub.{blocks}")], width, width),
            conv_up1: conv(&["conv_up1", "upconv1", "model.3"], width, width),
            conv_up2: conv(&["conv_up2", "upconv2", "model.6"], width, width),
            conv_hr: conv(&["conv_hr", "HRconv", "model.8"], width, width),
            conv_last: conv(&["conv_last", "model.10"], width, 3),
            scale,
        })
    }

    /// How often a picture's sides come out.
    pub const fn scale(&self) -> usize {
        self.scale
    }

    /// What both sides of a picture must be divisible by.
    pub const fn multiple(&self) -> usize {
        4 / self.scale
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in 0..1
    /// - output: `[batch, 3, scale * height, scale * width]`
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let image = if self.scale == 4 { image } else { pixel_unshuffle(image, 4 / self.scale) };
        let first = self.conv_first.forward(image);
        let hidden = self.body.iter().fold(first.clone(), |hidden, block| block.forward(hidden));
        let hidden = self.conv_body.forward_add(hidden, first);
        let hidden = leaky_relu(self.conv_up1.forward_doubled(hidden), SLOPE);
        let hidden = leaky_relu(self.conv_up2.forward_doubled(hidden), SLOPE);
        self.conv_last.forward(leaky_relu(self.conv_hr.forward(hidden), SLOPE))
    }
}
