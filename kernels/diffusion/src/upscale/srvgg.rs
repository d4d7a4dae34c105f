//! `SRVGGNetCompact` of Real-ESRGAN: convolutions in a row, added to the picture with its pixels repeated.

use super::shuffle::pixel_shuffle;
use crate::{
    config::{ConfigError, check_range},
    nn::{Builder, Conv2d, Conv2dShape, Init},
};
use burn::{
    module::{Module, Param},
    tensor::{
        Tensor,
        activation::relu,
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    },
};

const PART: &str = "SRVGGNetCompact";

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SrvggConfig {
    /// How often a picture's sides come out.
    pub scale: usize,
    /// Channels between layers.
    pub width: usize,
    /// Convolutions between the first and the last.
    pub convs: usize,
}

/// `max(x, 0) + slope * min(x, 0)` with a slope for each channel (He et al., 2015).
#[derive(Module, Debug)]
struct PRelu {
    weight: Param<Tensor<1>>,
}

impl PRelu {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let positive = relu(input.clone());
        let negative = input - positive.clone();
        positive + negative * self.weight.val().unsqueeze_dims::<4>(&[0, 2, 3])
    }
}

/// The small network.
#[derive(Module, Debug)]
pub struct SrvggNet {
    convs: Vec<Conv2d>,
    activations: Vec<PRelu>,
    #[module(skip)]
    scale: usize,
}

impl SrvggNet {
    /// Builds the network.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &SrvggConfig) -> Result<Self, ConfigError> {
        let SrvggConfig { scale, width, convs } = *config;
        check_range(PART, "scale", scale, 1, 8)?;
        check_range(PART, "width", width, 1, 1 << 10)?;
        check_range(PART, "convs", convs, 0, 128)?;
        let body = builder.pp("body");
        let conv = |index: usize| {
            let input = if index == 0 { 3 } else { width };
            let output = if index == convs + 1 { 3 * scale * scale } else { width };
            Conv2d::new(&body.pp(2 * index), input, output, Conv2dShape::SAME3)
        };
        let activation =
            |index: usize| PRelu { weight: body.pp(2 * index + 1).tensor("weight", [width], Init::Normal(0.25)) };
        Ok(Self {
            convs: (0..convs + 2).map(conv).collect(),
            activations: (0..=convs).map(activation).collect(),
            scale,
        })
    }

    /// How often a picture's sides come out.
    pub const fn scale(&self) -> usize {
        self.scale
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in 0..1
    /// - output: `[batch, 3, scale * height, scale * width]`
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let [.., height, width] = image.dims();
        let mut hidden = image.clone();
        for (index, conv) in self.convs.iter().enumerate() {
            hidden = conv.forward(hidden);
            if let Some(activation) = self.activations.get(index) {
                hidden = activation.forward(hidden);
            }
        }
        let sides = [height * self.scale, width * self.scale];
        let repeated = interpolate(image, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(sides));
        pixel_shuffle(hidden, self.scale) + repeated
    }
}
