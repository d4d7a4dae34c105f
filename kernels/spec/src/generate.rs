//! Everything that decides a picture, in one value.

use crate::{
    BatchSize, ClipSkip, Guidance, GuidanceRescale, ImageSize, NoiseKind, SchedulerKind, Seed, Steps, Strength,
};
use serde::{Deserialize, Serialize};

/// Parameters of one run; two runs with equal values and an equal model make the same picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateSpec {
    /// What to draw.
    pub prompt: String,
    /// What to keep away from; empty for none.
    #[serde(default)]
    pub negative_prompt: String,
    /// Denoising steps.
    #[serde(default)]
    pub steps: Steps,
    /// Classifier-free guidance scale.
    #[serde(default)]
    pub guidance: Guidance,
    /// Guidance rescale.
    #[serde(default)]
    pub guidance_rescale: GuidanceRescale,
    /// The scheduler; `None` takes the model's own.
    #[serde(default)]
    pub scheduler: Option<SchedulerKind>,
    /// Seed of the first picture; picture `k` of a batch has seed + k.
    #[serde(default)]
    pub seed: Seed,
    /// Where noise comes from.
    #[serde(default = "philox")]
    pub noise: NoiseKind,
    /// Size of the picture.
    pub size: ImageSize,
    /// Which text-encoder layer is used.
    #[serde(default)]
    pub clip_skip: ClipSkip,
    /// Pictures to make.
    #[serde(default)]
    pub batch: BatchSize,
    /// How an initial picture is used, if there is one.
    #[serde(default)]
    pub init: Option<InitImageSpec>,
}

fn philox() -> NoiseKind {
    NoiseKind::Philox
}

/// How an initial picture is used; its pixels travel beside this.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InitImageSpec {
    /// How much of it is repainted.
    pub strength: Strength,
}
