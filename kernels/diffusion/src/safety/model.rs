//! The network: an embedding of the picture, and how close it is to each concept.

use super::{SafetyConfig, vision::VisionModel};
use crate::{
    config::ConfigError,
    nn::{Builder, Init, Linear},
};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// Concepts that are not fit for work.
const CONCEPTS: usize = 17;
/// Concepts that lower the bar for those.
const SPECIAL: usize = 3;
/// Least length that a vector is divided by.
const SHORTEST: f64 = 1e-12;

/// What the network says of a batch of pictures.
#[derive(Debug, Clone)]
pub struct SafetyOutput {
    /// `[batch, projection_dim]`.
    pub image_embeds: Tensor<2>,
    /// Cosines with the concepts that call for care, `[batch, 3]`.
    pub special_scores: Tensor<2>,
    /// Cosines with the concepts that are not fit for work, `[batch, 17]`.
    pub concept_scores: Tensor<2>,
}

/// The network.
#[derive(Module, Debug)]
pub struct SafetyModel {
    vision_model: VisionModel,
    visual_projection: Linear,
    concept_embeds: Param<Tensor<2>>,
    special_care_embeds: Param<Tensor<2>>,
    pub(super) concept_embeds_weights: Param<Tensor<1>>,
    pub(super) special_care_embeds_weights: Param<Tensor<1>>,
}

impl SafetyModel {
    /// Builds the network that the configuration describes.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field.
    pub fn new(builder: &Builder<'_>, config: &SafetyConfig) -> Result<Self, ConfigError> {
        let activation = config.validate()?;
        let outer = builder.pp("vision_model");
        // transformers 5 dropped the second level.
        let vision = if outer.has("embeddings") { outer } else { outer.pp("vision_model") };
        let width = config.projection_dim;
        let hidden = config.vision_config.hidden_size;
        Ok(Self {
            vision_model: VisionModel::new(&vision, &config.vision_config, activation),
            visual_projection: Linear::without_bias(&builder.pp("visual_projection"), hidden, width),
            concept_embeds: builder.tensor("concept_embeds", [CONCEPTS, width], Init::Ones),
            special_care_embeds: builder.tensor("special_care_embeds", [SPECIAL, width], Init::Ones),
            concept_embeds_weights: builder.tensor("concept_embeds_weights", [CONCEPTS], Init::Ones),
            special_care_embeds_weights: builder.tensor("special_care_embeds_weights", [SPECIAL], Init::Ones),
        })
    }

    /// # Shapes
    ///
    /// - pixels: `[batch, 3, image_size, image_size]`, as [`super::clip_input`] makes them
    /// - output: see [`SafetyOutput`]
    pub fn forward(&self, pixels: Tensor<4>) -> SafetyOutput {
        let image_embeds = self.visual_projection.forward_rows(self.vision_model.forward(pixels));
        let unit = normalised(image_embeds.clone());
        let cosines = |concepts: &Param<Tensor<2>>| unit.clone().matmul(normalised(concepts.val()).transpose());
        SafetyOutput {
            special_scores: cosines(&self.special_care_embeds),
            concept_scores: cosines(&self.concept_embeds),
            image_embeds,
        }
    }
}

/// Rows of length 1.
fn normalised(rows: Tensor<2>) -> Tensor<2> {
    let lengths = rows.clone().square().sum_dim(1).sqrt().clamp_min(SHORTEST);
    rows / lengths
}
