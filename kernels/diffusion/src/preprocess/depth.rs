//! Depth Anything (Yang et al., 2024): DINOv2's vision transformer and DPT's head (Ranftl et al., 2021), for `depth` networks.
//!
//! Of all depth networks this one is known, in its three sizes and both versions, for relative depth, as transformers stores it.

use super::grey;
use crate::{
    nn::{Activation, Builder, BuilderRoot, Conv2d, Conv2dShape, Init, LayerNorm, Linear, LoadError, attend},
    picture::Picture,
    resample::{Filter, resize},
};
use burn::{
    module::{Module, Param},
    tensor::{
        Device, ExecutionError, Tensor, TensorData, activation::relu, module::conv_transpose2d,
        ops::ConvTransposeOptions,
    },
};
use serde::Deserialize;
use thiserror::Error;
use weights::TensorSource;

const EPSILON: f64 = 1e-6;
/// The side that pictures are brought to, about.
const SIDE: f64 = 518.0;
/// Means and deviations of the pictures that it was trained on.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Results of the transformer that the head takes.
const TAKEN: usize = 4;

/// A folder or file that is not this network's.
#[derive(Debug, Error)]
pub enum LoadDepthError {
    /// The configuration cannot be read.
    #[error("the depth network's config.json cannot be read")]
    Config(#[from] serde_json::Error),
    /// It is another network.
    #[error("the file is no depth network that is known: {0}; only Depth Anything as transformers stores it is known")]
    Unknown(String),
    /// The weights do not fit.
    #[error("could not load the weights of the depth network")]
    Weights(#[from] LoadError),
}

/// What is in no shape.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    backbone_config: Backbone,
    #[serde(default)]
    depth_estimation_type: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Backbone {
    num_attention_heads: usize,
    out_indices: Vec<usize>,
}

#[derive(Module, Debug)]
struct Layer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    dense: Linear,
    scale1: Param<Tensor<1>>,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    scale2: Param<Tensor<1>>,
    #[module(skip)]
    heads: usize,
}

impl Layer {
    fn new(builder: &Builder<'_>, width: usize, heads: usize) -> Self {
        let linear = |name: &str| Linear::new(&builder.pp("attention").pp(name), width, width);
        let norm = |name: &str| LayerNorm::new(&builder.pp(name), width, EPSILON);
        let scale = |name: &str| builder.pp(name).tensor("lambda1", [width], Init::Ones);
        Self {
            norm1: norm("norm1"),
            query: linear("attention.query"),
            key: linear("attention.key"),
            value: linear("attention.value"),
            dense: linear("output.dense"),
            scale1: scale("layer_scale1"),
            norm2: norm("norm2"),
            fc1: Linear::new(&builder.pp("mlp.fc1"), width, width * 4),
            fc2: Linear::new(&builder.pp("mlp.fc2"), width * 4, width),
            scale2: scale("layer_scale2"),
            heads,
        }
    }

    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let normed = self.norm1.forward(input.clone());
        let (query, key, value) =
            (self.query.forward(normed.clone()), self.key.forward(normed.clone()), self.value.forward(normed));
        let attended = self.dense.forward(attend(query, key, value, self.heads, None));
        let hidden = attended * self.scale1.val().unsqueeze() + input;
        let wide = self.fc1.forward_activated(self.norm2.forward(hidden.clone()), Activation::Gelu);
        self.fc2.forward(wide) * self.scale2.val().unsqueeze() + hidden
    }
}

/// A transposed convolution whose kernel is its stride: every pixel becomes a square.
#[derive(Module, Debug)]
struct Enlarging {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

/// What brings a level to its size.
#[derive(Module, Debug)]
enum Resize {
    Enlarge(Enlarging),
    Halve(Conv2d),
}

#[derive(Module, Debug)]
struct Reassemble {
    projection: Conv2d,
    resize: Option<Resize>,
}

impl Reassemble {
    fn new(builder: &Builder<'_>, level: usize, input: usize, output: usize) -> Self {
        let resize = builder.pp("resize");
        let enlarge = |factor: usize| {
            let weight = resize.tensor("weight", [output, output, factor, factor], Init::FanIn(output));
            Resize::Enlarge(Enlarging { weight, bias: resize.tensor("bias", [output], Init::Zeros) })
        };
        Self {
            projection: Conv2d::new(&builder.pp("projection"), input, output, Conv2dShape::POINT),
            resize: match level {
                0 => Some(enlarge(4)),
                1 => Some(enlarge(2)),
                2 => None,
                _ => Some(Resize::Halve(Conv2d::new(&resize, output, output, Conv2dShape::DOWN3))),
            },
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = self.projection.forward(input);
        match &self.resize {
            Some(Resize::Enlarge(layer)) => {
                let weight = layer.weight.val();
                let factor = weight.dims()[2];
                let options = ConvTransposeOptions::new([factor; 2], [0, 0], [0, 0], [1, 1], 1);
                conv_transpose2d(hidden, weight, Some(layer.bias.val()), options)
            }
            Some(Resize::Halve(conv)) => conv.forward(hidden),
            None => hidden,
        }
    }
}

#[derive(Module, Debug)]
struct Residual {
    first: Conv2d,
    second: Conv2d,
}

impl Residual {
    fn new(builder: &Builder<'_>, width: usize) -> Self {
        let conv = |name: &str| Conv2d::new(&builder.pp(name), width, width, Conv2dShape::SAME3);
        Self { first: conv("convolution1"), second: conv("convolution2") }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        self.second.forward_add(self.first.forward_relu(relu(input.clone())), input)
    }
}

#[derive(Module, Debug)]
struct Fusion {
    projection: Conv2d,
    beside: Residual,
    own: Residual,
}

impl Fusion {
    fn new(builder: &Builder<'_>, width: usize) -> Self {
        Self {
            projection: Conv2d::new(&builder.pp("projection"), width, width, Conv2dShape::POINT),
            beside: Residual::new(&builder.pp("residual_layer1"), width),
            own: Residual::new(&builder.pp("residual_layer2"), width),
        }
    }

    fn forward(&self, before: Option<Tensor<4>>, level: Tensor<4>, sides: [usize; 2]) -> Tensor<4> {
        let hidden = match before {
            Some(before) => before + self.beside.forward(level),
            None => level,
        };
        self.projection.forward(resize(self.own.forward(hidden), sides, Filter::BilinearCorners))
    }
}

#[derive(Module, Debug)]
struct Network {
    cls_token: Param<Tensor<3>>,
    mask_token: Option<Param<Tensor<2>>>,
    position_embeddings: Param<Tensor<3>>,
    patches: Conv2d,
    layers: Vec<Layer>,
    layernorm: LayerNorm,
    reassemble: Vec<Reassemble>,
    convs: Vec<Conv2d>,
    fusion: Vec<Fusion>,
    head: Vec<Conv2d>,
    #[module(skip)]
    taken: Vec<usize>,
    #[module(skip)]
    patch: usize,
}

/// Sizes that the tensors tell.
struct Sizes {
    width: usize,
    patch: usize,
    positions: usize,
    layers: usize,
    levels: [usize; TAKEN],
    fused: usize,
    head: usize,
    has_mask_token: bool,
}

impl Sizes {
    fn of(source: &dyn TensorSource) -> Option<Self> {
        let dim = |name: &str, axis: usize| source.info(name)?.shape.get(axis).copied().filter(|side| *side <= 1 << 13);
        let level = |at: usize| dim(&format!("neck.reassemble_stage.layers.{at}.projection.weight"), 0);
        let patches = "backbone.embeddings.patch_embeddings.projection.weight";
        let has_layer = |at: &usize| source.info(&format!("backbone.encoder.layer.{at}.norm1.weight")).is_some();
        Some(Self {
            width: dim(patches, 0)?,
            patch: dim(patches, 2)?,
            positions: dim("backbone.embeddings.position_embeddings", 1)?,
            layers: (0..64).take_while(has_layer).count(),
            levels: [level(0)?, level(1)?, level(2)?, level(3)?],
            fused: dim("neck.convs.0.weight", 0)?,
            head: dim("head.conv2.weight", 0)?,
            has_mask_token: source.info("backbone.embeddings.mask_token").is_some(),
        })
    }
}

impl Network {
    fn new(builder: &Builder<'_>, sizes: &Sizes, backbone: &Backbone) -> Self {
        let Sizes { width, patch, positions, fused, .. } = *sizes;
        let embeddings = builder.pp("backbone.embeddings");
        let init = Init::Normal(0.02);
        let (neck, head, layer) = (builder.pp("neck"), builder.pp("head"), builder.pp("backbone.encoder.layer"));
        let squares = Conv2dShape { kernel: patch, stride: patch, padding: 0 };
        let conv = |name: &str, input, output, shape| Conv2d::new(&head.pp(name), input, output, shape);
        Self {
            cls_token: embeddings.tensor("cls_token", [1, 1, width], init),
            mask_token: sizes.has_mask_token.then(|| embeddings.tensor("mask_token", [1, width], init)),
            position_embeddings: embeddings.tensor("position_embeddings", [1, positions, width], init),
            patches: Conv2d::new(&embeddings.pp("patch_embeddings.projection"), 3, width, squares),
            layers: (0..sizes.layers)
                .map(|at| Layer::new(&layer.pp(at), width, backbone.num_attention_heads))
                .collect(),
            layernorm: LayerNorm::new(&builder.pp("backbone.layernorm"), width, EPSILON),
            reassemble: (0..TAKEN)
                .map(|at| Reassemble::new(&neck.pp("reassemble_stage.layers").pp(at), at, width, sizes.levels[at]))
                .collect(),
            convs: (0..TAKEN)
                .map(|at| Conv2d::without_bias(&neck.pp("convs").pp(at), sizes.levels[at], fused, Conv2dShape::SAME3))
                .collect(),
            fusion: (0..TAKEN).map(|at| Fusion::new(&neck.pp("fusion_stage.layers").pp(at), fused)).collect(),
            head: vec![
                conv("conv1", fused, fused / 2, Conv2dShape::SAME3),
                conv("conv2", fused / 2, sizes.head, Conv2dShape::SAME3),
                conv("conv3", sizes.head, 1, Conv2dShape::POINT),
            ],
            taken: backbone.out_indices.clone(),
            patch,
        }
    }

    /// The positions of so many rows and columns of patches, and of the token before them.
    fn positions(&self, rows: usize, columns: usize) -> Tensor<3> {
        let all = self.position_embeddings.val();
        let [_, count, width] = all.dims();
        let side = ((count - 1) as f64).sqrt() as usize;
        if side == rows && side == columns {
            return all;
        }
        let grid = all.clone().narrow(1, 1, side * side).reshape([1, side, side, width]).permute([0, 3, 1, 2]);
        let grid = resize(grid, [rows, columns], Filter::Bicubic).permute([0, 2, 3, 1]);
        Tensor::cat(vec![all.narrow(1, 0, 1), grid.reshape([1, rows * columns, width])], 1)
    }

    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = image.dims();
        let patches = self.patches.forward(image);
        let [_, channels, rows, columns] = patches.dims();
        let tokens = patches.reshape([batch, channels, rows * columns]).swap_dims(1, 2);
        let first = self.cls_token.val().expand([batch, 1, channels]);
        let mut hidden = Tensor::cat(vec![first, tokens], 1) + self.positions(rows, columns);
        let mut levels = Vec::new();
        for (number, layer) in (1..).zip(&self.layers) {
            hidden = layer.forward(hidden);
            if self.taken.contains(&number) {
                let tokens = self.layernorm.forward(hidden.clone()).narrow(1, 1, rows * columns);
                levels.push(tokens.swap_dims(1, 2).reshape([batch, channels, rows, columns]));
            }
        }
        let levels = levels.into_iter().zip(&self.reassemble).zip(&self.convs);
        let levels: Vec<_> = levels.map(|((level, part), conv)| conv.forward(part.forward(level))).collect();
        let mut fused = None;
        for (at, fusion) in self.fusion.iter().enumerate() {
            let level = levels[TAKEN - 1 - at].clone();
            let [.., tall, wide] = levels[TAKEN.saturating_sub(2 + at)].dims();
            let sides = if at + 1 < TAKEN { [tall, wide] } else { [tall * 2, wide * 2] };
            fused = Some(fusion.forward(fused, level, sides));
        }
        let fused = fused.expect("there are four levels");
        let large = resize(self.head[0].forward(fused), [height, width], Filter::BilinearCorners);
        self.head[2].forward_relu(self.head[1].forward_relu(large))
    }
}

/// The network on a device.
#[derive(Debug)]
pub struct Depth {
    network: Network,
    device: Device,
}

impl Depth {
    /// Builds the network of a file and the `config.json` that belongs to it.
    ///
    /// # Errors
    /// [`LoadDepthError`] with everything that is wrong with it.
    pub fn load(source: &dyn TensorSource, config: &str, device: &Device) -> Result<Self, LoadDepthError> {
        let unknown = |what: &str| LoadDepthError::Unknown(what.to_owned());
        let config: Config = serde_json::from_str(config)?;
        let sizes = Sizes::of(source).ok_or_else(|| unknown("it has not the tensors of DINOv2 with DPT's head"))?;
        if config.depth_estimation_type.is_some_and(|kind| kind != "relative") {
            return Err(unknown("it estimates metric depth"));
        }
        let Backbone { num_attention_heads: heads, out_indices: taken } = &config.backbone_config;
        let is_usual = taken.len() == TAKEN
            && taken.windows(2).all(|pair| pair[0] < pair[1])
            && taken.iter().all(|layer| (1..=sizes.layers).contains(layer));
        if !is_usual || *heads == 0 || sizes.width % heads != 0 || sizes.patch == 0 || sizes.positions < 2 {
            return Err(unknown("its configuration has other heads or layers than its tensors"));
        }
        let root = BuilderRoot::from_checkpoint(source, device, false);
        let network = Network::new(&root.root(""), &sizes, &config.backbone_config);
        root.finish("")?;
        Ok(Self { network, device: device.clone() })
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]`, normalised, both sides divisible by a patch's
    /// - output: `[batch, 1, height, width]`, larger where it is nearer
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        self.network.forward(image)
    }

    /// The depth of a picture: white is nearest, black is farthest.
    ///
    /// # Errors
    /// When the device fails.
    pub async fn estimate(&self, picture: &Picture) -> Result<Picture, ExecutionError> {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let sides = sides([height, width], self.network.patch);
        let constant =
            |values: [f32; 3]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), &self.device);
        let image = (picture.to_tensor(&self.device) + 1.0) / 2.0;
        let image = (resize(image, sides, Filter::BicubicAntialiased) - constant(MEAN)) / constant(DEVIATION);
        let depth = resize(self.forward(image), [height, width], Filter::Bicubic).into_data_async().await?;
        let depth: Vec<f32> = depth.iter::<f32>().collect();
        let (least, most) =
            depth.iter().fold((f32::MAX, f32::MIN), |(least, most), &value| (least.min(value), most.max(value)));
        let scale = if most > least { 255.0 / (most - least) } else { 0.0 };
        Ok(grey(depth.into_iter().map(|value| ((value - least) * scale).round() as u8), picture))
    }
}

/// Rows and columns that a picture is brought to: by the scale that changes less, to the nearest multiples of a patch.
fn sides([height, width]: [usize; 2], patch: usize) -> [usize; 2] {
    let (tall, wide) = (SIDE / height as f64, SIDE / width as f64);
    let scale = if (1.0 - wide).abs() < (1.0 - tall).abs() { wide } else { tall };
    [height, width].map(|side| ((side as f64 * scale / patch as f64).round() as usize).clamp(1, 256) * patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_near_to_what_the_network_was_trained_on() {
        assert_eq!(sides([518, 518], 14), [518, 518]);
        assert_eq!(sides([480, 640], 14), [518, 686]);
        assert_eq!(sides([1024, 512], 14), [1036, 518]);
        assert_eq!(sides([1, 1], 14), [518, 518]);
    }
}
