//! CLIP's vision encoder (Radford et al., 2021), as transformers' `CLIPVisionModel` names it.

use super::VisionConfig;
use crate::{
    nn::{Activation, Builder, Conv2d, Conv2dShape, Init, LayerNorm},
    text::{EncoderLayer, EncoderShape},
};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// The encoder; what is wanted of it is the vector of the whole picture.
#[derive(Module, Debug)]
pub struct VisionModel {
    class_embedding: Param<Tensor<1>>,
    patch_embedding: Conv2d,
    position_embedding: Param<Tensor<2>>,
    /// The checkpoints' name of it has a slip, `pre_layrnorm`.
    pre_layer_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    post_layer_norm: LayerNorm,
}

impl VisionModel {
    pub(super) fn new(builder: &Builder<'_>, config: &VisionConfig, activation: Activation) -> Self {
        let width = config.hidden_size;
        let embeddings = builder.pp("embeddings");
        let patches = Conv2dShape { kernel: config.patch_size, stride: config.patch_size, padding: 0 };
        let layers = builder.pp("encoder").pp("layers");
        let shape = EncoderShape {
            width,
            intermediate: config.intermediate_size,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            activation,
        };
        Self {
            class_embedding: embeddings.tensor("class_embedding", [width], Init::Normal(0.02)),
            patch_embedding: Conv2d::without_bias(
                &embeddings.pp("patch_embedding"),
                config.num_channels,
                width,
                patches,
            ),
            position_embedding: embeddings.pp("position_embedding").tensor(
                "weight",
                [config.tokens(), width],
                Init::Normal(0.02),
            ),
            pre_layer_norm: LayerNorm::new(
                &builder.pp_any(&["pre_layrnorm", "pre_layernorm"]),
                width,
                config.layer_norm_eps,
            ),
            layers: (0..config.num_hidden_layers).map(|index| EncoderLayer::new(&layers.pp(index), shape)).collect(),
            post_layer_norm: LayerNorm::new(&builder.pp("post_layernorm"), width, config.layer_norm_eps),
        }
    }

    /// # Shapes
    ///
    /// - pixels: `[batch, 3, image_size, image_size]`, normalised
    /// - output: `[batch, hidden_size]`
    pub(super) fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let patches = self.patch_embedding.forward(pixels);
        let [batch, width, rows, columns] = patches.dims();
        let patches = patches.reshape([batch, width, rows * columns]).swap_dims(1, 2);
        let class = self.class_embedding.val().reshape([1, 1, width]).expand([batch, 1, width]);
        let tokens = Tensor::cat(vec![class, patches], 1) + self.position_embedding.val().unsqueeze();
        let mut hidden = self.pre_layer_norm.forward(tokens);
        for layer in &self.layers {
            hidden = layer.forward(hidden, None);
        }
        self.post_layer_norm.forward(hidden.narrow(1, 0, 1)).reshape([batch, width])
    }
}
