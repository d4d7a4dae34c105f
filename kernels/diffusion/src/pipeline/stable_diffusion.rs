//! The pipeline of the Stable Diffusion 1.x, 2.x and XL family.

use super::{
    CancelToken, GenerateError, HiresUpscale, LoadModelError, LoadOptions, Loading, ModelCard, ModelFiles, Observer,
    PipelineRequest, autoencoder::Autoencoder, control, preview::Previewer, prompt_encoder::PromptEncoder,
};
use crate::{
    config::ConfigError, nn::Kept, picture::Picture, resample::resize, scheduler::SchedulerConfig, text::Tokenizer,
    unet::UNet2DConditionModel,
};
use burn::tensor::{Device, Tensor};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// What a run made.
#[derive(Debug, Clone)]
pub struct Generated {
    /// Finished latents, `[batch, channels, height / factor, width / factor]`.
    pub latents: Tensor<4>,
    /// Pictures in 0..1, `[batch, 3, height, width]`.
    pub image: Tensor<4>,
    /// The same as bytes.
    pub pictures: Vec<Picture>,
}

/// A loaded model.
#[derive(Debug)]
pub struct StableDiffusion {
    pub(super) prompts: Arc<PromptEncoder>,
    pub(super) unet: UNet2DConditionModel,
    pub(super) vae: Autoencoder,
    pub(super) scheduler: SchedulerConfig,
    pub(super) previewer: Previewer,
    pub(super) card: ModelCard,
    /// Whether the denoiser is told the pooled text and sizes.
    pub(super) has_added: bool,
    /// Whether an empty negative prompt is zeros.
    pub(super) force_zeros: bool,
    pub(super) device: Device,
    pub(super) latent_channels: usize,
    pub(super) in_channels: usize,
    pub(super) factor: usize,
    pub(super) multiple: usize,
    pub(super) device_bytes: u64,
    pub(super) kept: Kept,
    pub(super) options: LoadOptions,
}

pub(super) fn parse<T: DeserializeOwned>(part: &'static str, text: &str) -> Result<T, ConfigError> {
    serde_json::from_str(text).map_err(|source| ConfigError::Json { part, source })
}

impl StableDiffusion {
    /// Puts a model on a device, tensor by tensor.
    ///
    /// # Errors
    /// [`LoadModelError`] naming the part and everything that is wrong with it.
    pub fn load(files: &ModelFiles, device: &Device, options: LoadOptions) -> Result<Self, LoadModelError> {
        Loading::new(files, device, options)?.finish()
    }

    /// What the model says of itself.
    pub const fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Bytes of the weights as they lie on the device.
    pub const fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    /// The device the model is on.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// What both sides of a picture must be divisible by.
    pub const fn multiple(&self) -> usize {
        self.multiple
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.prompts.tokenizer()
    }

    /// What encodes prompts.
    pub fn prompts(&self) -> &PromptEncoder {
        &self.prompts
    }

    /// The scheduler that a request without one gets.
    pub fn default_scheduler(&self) -> spec::SchedulerKind {
        self.scheduler.kind()
    }

    /// Makes a batch of pictures.
    ///
    /// # Errors
    /// [`GenerateError`]; a cancelled run ends within one step.
    pub async fn generate(
        &self,
        request: PipelineRequest,
        observer: &mut impl Observer,
        cancel: &CancelToken,
    ) -> Result<Generated, GenerateError> {
        let mut request = request;
        let Some(hires) = request.hires.take() else {
            let denoised = self.denoise(request, observer, cancel).await?;
            return self.decode(denoised, observer, cancel).await;
        };
        let mut second = hires.second(&request);
        // Prompts that change over the first pass have changed by now.
        second.prompting.after = Some(request.steps.get() as usize);
        self.check(&second)?;
        let first = self.denoise(request, observer, cancel).await?;
        second.noise = first.noise.clone();
        second.init = Some(match &hires.upscale {
            HiresUpscale::Latents(filter) => {
                let [_, rows, columns] = self.latent_shape(&second);
                let latents = resize(first.latents, [rows, columns], *filter);
                hires.init(None, Some(latents), &self.device)
            }
            HiresUpscale::Pictures(_) | HiresUpscale::Network(..) => {
                let mut pixels = Vec::new();
                for picture in self.decode(first, observer, cancel).await?.pictures {
                    let picture = hires.enlarged(&picture, || cancel.is_cancelled()).await?;
                    pixels.push(picture.to_tensor(&self.device));
                }
                hires.init(Some(Tensor::cat(pixels, 0)), None, &self.device)
            }
        });
        let denoised = self.denoise(second, observer, cancel).await?;
        self.decode(denoised, observer, cancel).await
    }

    pub(super) const fn latent_shape(&self, request: &PipelineRequest) -> [usize; 3] {
        let (width, height) = (request.size.width() as usize, request.size.height() as usize);
        [self.latent_channels, height / self.factor, width / self.factor]
    }

    pub(super) fn check(&self, request: &PipelineRequest) -> Result<(), GenerateError> {
        let (width, height) = (request.size.width(), request.size.height());
        let multiple = self.multiple as u32;
        if width % multiple != 0 || height % multiple != 0 {
            return Err(GenerateError::Size { width, height, multiple });
        }
        let batch = request.prompts.len();
        let [channels, rows, columns] = self.latent_shape(request);
        request.switches.check(!request.controls.is_empty())?;
        control::check(&request.controls, &self.unet, batch, [height as usize, width as usize])?;
        let same = |name, expected: [usize; 4], found: [usize; 4]| {
            if expected == found { Ok(()) } else { Err(GenerateError::Shape { name, expected, found }) }
        };
        if let Some(latents) = &request.latents {
            same("latents", [batch, channels, rows, columns], latents.dims())?;
        }
        if let Some(init) = &request.init {
            if let Some(latents) = &init.latents {
                same("the initial picture's latents", [batch, channels, rows, columns], latents.dims())?;
            }
            let found = init.pixels.dims();
            let expected = [if found[0] == batch { batch } else { 1 }, 3, height as usize, width as usize];
            same("the initial picture", expected, found)?;
            if let Some(mask) = &init.mask {
                let found = mask.dims();
                let expected = [if found[0] == batch { batch } else { 1 }, 1, height as usize, width as usize];
                same("the mask", expected, found)?;
            }
        }
        Ok(())
    }
}
