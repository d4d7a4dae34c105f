//! The drawing network of "Learning to generate line drawings that convey geometry and semantics" (Chan et al., 2022), which
//! `lineart` networks were trained with.

use super::grey;
use crate::{
    nn::{Builder, BuilderRoot, Conv2d, Conv2dShape, Init, LoadError},
    picture::Picture,
};
use burn::{
    module::{Module, Param},
    tensor::{
        Device, ExecutionError, Tensor,
        activation::{relu, sigmoid},
        module::conv_transpose2d,
        ops::ConvTransposeOptions,
    },
};
use thiserror::Error;
use weights::TensorSource;

const EPSILON: f64 = 1e-5;
/// What both sides must be divisible by: two halvings.
const MULTIPLE: usize = 4;

/// A file that is not this network's.
#[derive(Debug, Error)]
pub enum LoadLineArtError {
    /// It has none of its tensors.
    #[error(
        "the file is no line drawing network: it has no `model0.1.weight`; only the generator of Chan et al., 2022 is known"
    )]
    Unknown,
    /// The weights do not fit.
    #[error("could not load the weights of the line drawing network")]
    Weights(#[from] LoadError),
}

/// Zero mean and unit variance for each channel of each picture (Ulyanov et al., 2016).
fn instance_norm(input: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let flat = input.reshape([batch, channels, height * width]);
    let centred = flat.clone() - flat.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    (centred * (variance + EPSILON).sqrt().recip()).reshape([batch, channels, height, width])
}

/// Mirrors `by` pixels at every edge, without the edge itself.
fn mirrored(input: Tensor<4>, by: usize) -> Tensor<4> {
    let along = |input: Tensor<4>, axis: usize| {
        let side = input.dims()[axis];
        // A side that is too short to be mirrored repeats its edge.
        let take = |at: usize| input.clone().narrow(axis, at.min(side - 1), 1);
        let before = (1..=by).rev().map(take);
        let after = (1..=by).map(|distance| take(side.saturating_sub(1 + distance)));
        Tensor::cat(before.chain([input.clone()]).chain(after).collect(), axis)
    };
    along(along(input, 2), 3)
}

/// A transposed convolution that doubles the sides.
#[derive(Module, Debug)]
struct Doubling {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Doubling {
    fn new(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        let init = Init::FanIn(input * 9);
        let bias = builder.tensor("bias", [output], init);
        Self { weight: builder.tensor("weight", [input, output, 3, 3], init), bias }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let options = ConvTransposeOptions::new([2, 2], [1, 1], [1, 1], [1, 1], 1);
        conv_transpose2d(input, self.weight.val(), Some(self.bias.val()), options)
    }
}

/// Two convolutions with norms, beside the input.
#[derive(Module, Debug)]
struct Residual {
    first: Conv2d,
    second: Conv2d,
}

impl Residual {
    fn new(builder: &Builder<'_>, width: usize) -> Self {
        let valid = Conv2dShape { padding: 0, ..Conv2dShape::SAME3 };
        let conv = |name: &str| Conv2d::new(&builder.pp(name), width, width, valid);
        Self { first: conv("conv_block.1"), second: conv("conv_block.5") }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = relu(instance_norm(self.first.forward(mirrored(input.clone(), 1))));
        instance_norm(self.second.forward(mirrored(hidden, 1))) + input
    }
}

/// The network.
#[derive(Module, Debug)]
struct Generator {
    conv_in: Conv2d,
    down: Vec<Conv2d>,
    middle: Vec<Residual>,
    up: Vec<Doubling>,
    conv_out: Conv2d,
}

impl Generator {
    fn new(builder: &Builder<'_>, width: usize, blocks: usize) -> Self {
        let wide = Conv2dShape { kernel: 7, stride: 1, padding: 0 };
        let down = |index: usize| {
            let (input, output) = (width << index, width << (index + 1));
            Conv2d::new(&builder.pp("model1").pp(3 * index), input, output, Conv2dShape::DOWN3)
        };
        let up = |index: usize| {
            let (input, output) = (width << (2 - index), width << (1 - index));
            Doubling::new(&builder.pp("model3").pp(3 * index), input, output)
        };
        Self {
            conv_in: Conv2d::new(&builder.pp("model0.1"), 3, width, wide),
            down: (0..2).map(down).collect(),
            middle: (0..blocks).map(|index| Residual::new(&builder.pp("model2").pp(index), width * 4)).collect(),
            up: (0..2).map(up).collect(),
            conv_out: Conv2d::new(&builder.pp("model4.1"), width, 1, wide),
        }
    }

    fn forward(&self, picture: Tensor<4>) -> Tensor<4> {
        let hidden = relu(instance_norm(self.conv_in.forward(mirrored(picture, 3))));
        let hidden = self.down.iter().fold(hidden, |hidden, conv| relu(instance_norm(conv.forward(hidden))));
        let hidden = self.middle.iter().fold(hidden, |hidden, block| block.forward(hidden));
        let hidden = self.up.iter().fold(hidden, |hidden, conv| relu(instance_norm(conv.forward(hidden))));
        sigmoid(self.conv_out.forward(mirrored(hidden, 3)))
    }
}

/// The network on a device.
#[derive(Debug)]
pub struct LineArt {
    generator: Generator,
    device: Device,
}

impl LineArt {
    /// Reads a file under the names that its authors published.
    ///
    /// # Errors
    /// [`LoadLineArtError`] with everything that is wrong with it.
    pub fn load(source: &dyn TensorSource, device: &Device) -> Result<Self, LoadLineArtError> {
        let width = source.info("model0.1.weight").and_then(|info| info.shape.first().copied());
        let width = width.filter(|width| (1..=1 << 10).contains(width)).ok_or(LoadLineArtError::Unknown)?;
        let has = |block: &usize| source.info(&format!("model2.{block}.conv_block.1.weight")).is_some();
        let blocks = (0..64).take_while(has).count();
        let root = BuilderRoot::from_checkpoint(source, device, false);
        let generator = Generator::new(&root.root(""), width, blocks);
        root.finish("")?;
        Ok(Self { generator, device: device.clone() })
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in 0..1, both sides divisible by 4
    /// - output: `[batch, 1, height, width]` in 0..1, black lines on white
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        self.generator.forward(image)
    }

    /// Draws a picture in white lines on black.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn draw(&self, picture: &Picture) -> Result<Picture, ExecutionError> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let image = (picture.to_tensor(&self.device) + 1.0) / 2.0;
        let missing = |side: usize| side.next_multiple_of(MULTIPLE) - side;
        let repeated = |image: Tensor<4>, axis: usize, side: usize| {
            let last = image.clone().narrow(axis, side - 1, 1);
            Tensor::cat([image].into_iter().chain(vec![last; missing(side)]).collect(), axis)
        };
        let drawn = self.forward(repeated(repeated(image, 2, height), 3, width));
        let drawn = drawn.narrow(2, 0, height).narrow(3, 0, width).into_data_async().await?;
        let white = |value: f32| 255 - (value * 255.0).clamp(0.0, 255.0) as u8;
        Ok(grey(drawn.iter::<f32>().map(white), picture))
    }
}
