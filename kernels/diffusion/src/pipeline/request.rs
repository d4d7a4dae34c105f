//! What a run is given.

use super::{Control, Hires, Inpaint, Prompting, SizeConditioning, Switches};
use crate::{noise::Noise, picture::Picture, scheduler::SchedulerOptions, vae::TilingMode};
use burn::tensor::Tensor;
use spec::{ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, SchedulerKind, Steps, Strength};

/// A picture to start from.
#[derive(Debug, Clone)]
pub struct InitImage {
    /// `[1 or batch, 3, height, width]` in -1..1.
    pub pixels: Tensor<4>,
    /// What the encoder makes of them, where that is known; then it is spared.
    pub latents: Option<Tensor<4>>,
    /// How much of it is repainted.
    pub strength: Strength,
    /// Unit noise for the encoder's distribution and then for the latents; drawn when absent.
    pub noise: Option<[Tensor<4>; 2]>,
    /// `[1 or batch, 1, height, width]`, 0..1: how much of a pixel is repainted. Where it is 0 the picture stays as it is, byte
    /// for byte. Absent where all of it may change.
    pub mask: Option<Tensor<4>>,
    /// How what is masked is repainted.
    pub inpaint: Inpaint,
}

/// Everything that decides a batch of pictures.
#[derive(Debug, Clone)]
pub struct PipelineRequest {
    /// One prompt for each picture of the batch.
    pub prompts: Vec<String>,
    /// One negative prompt for each, empty for none.
    pub negative_prompts: Vec<String>,
    /// How they are read.
    pub prompting: Prompting,
    /// Denoising steps.
    pub steps: Steps,
    /// Guidance scale.
    pub guidance: Guidance,
    /// Guidance rescale.
    pub guidance_rescale: GuidanceRescale,
    /// The scheduler; `None` takes the model's own.
    pub scheduler: Option<SchedulerKind>,
    /// What it is told beyond its name.
    pub scheduler_options: SchedulerOptions,
    /// Size of the pictures.
    pub size: ImageSize,
    /// Which text-encoder layer is used.
    pub clip_skip: ClipSkip,
    /// Where noise comes from.
    pub noise: Noise,
    /// Unit noise to start from, `[batch, channels, height / factor, width / factor]`; drawn when absent.
    pub latents: Option<Tensor<4>>,
    /// What Stable Diffusion XL is told of the pictures' sizes.
    pub sizes: SizeConditioning,
    /// A picture to start from.
    pub init: Option<InitImage>,
    /// Networks that steer the run by pictures, all at once.
    pub controls: Vec<Control>,
    /// When pictures go through the autoencoder in tiles.
    pub vae_tiling: TilingMode,
    /// A second pass over larger pictures; what a mask keeps, it keeps in the first pass alone.
    pub hires: Option<Hires>,
    /// What the run does otherwise.
    pub switches: Switches,
}

impl PipelineRequest {
    /// The run that a spec describes; `init` must be there when the spec has an init image, and of the spec's size.
    pub fn from_spec(spec: &GenerateSpec, init: Option<(&Picture, &burn::tensor::Device)>) -> Self {
        let batch = spec.batch.get() as usize;
        let init = spec.init.zip(init).map(|(parameters, (picture, device))| InitImage {
            pixels: picture.to_tensor(device),
            latents: None,
            strength: parameters.strength,
            noise: None,
            mask: None,
            inpaint: Inpaint::default(),
        });
        Self {
            prompts: vec![spec.prompt.clone(); batch],
            negative_prompts: vec![spec.negative_prompt.clone(); batch],
            prompting: Prompting::default(),
            steps: spec.steps,
            guidance: spec.guidance,
            guidance_rescale: spec.guidance_rescale,
            scheduler: spec.scheduler,
            scheduler_options: SchedulerOptions::default(),
            size: spec.size,
            clip_skip: spec.clip_skip,
            noise: Noise::new(spec.noise, spec.seed, batch),
            latents: None,
            sizes: SizeConditioning::default(),
            init,
            controls: Vec::new(),
            vae_tiling: TilingMode::default(),
            hires: None,
            switches: Switches::default(),
        }
    }
}
