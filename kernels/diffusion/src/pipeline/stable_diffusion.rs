//! The pipeline of the Stable Diffusion 1.x, 2.x and XL family.

use super::{
    CancelToken, HiresUpscale, InitImage, LoadOptions, Loading, ModelCard, ModelFiles, Observer, PipelineRequest,
    autoencoder::Autoencoder,
    conditioning::{Conditioning, Guide},
    control::{self, ControlStep, Controls},
    inpaint::inpainting_channels,
    masked::Unmasked,
    panorama::{Views, surrounded},
    preview::{Previewer, pictures_of},
    prompt_encoder::PromptEncoder,
    self_attention::Look,
    started::Started,
};
use crate::{
    config::ConfigError,
    nn::{Kept, LoadError, Seamless},
    noise::Noise,
    picture::Picture,
    prompt::PromptError,
    resample::resize,
    scheduler::{Schedule, SchedulerConfig, SchedulerError, StepNoiseSampler},
    text::{Tokenizer, TokenizerError},
    unet::{AttentionProbe, TokenMerger, Tweaks, UNet2DConditionModel},
    vae::TilingMode,
};
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};
use serde::de::DeserializeOwned;
use spec::{Phase, Progress};
use std::{pin::Pin, sync::Arc};
use thiserror::Error;
use web_time::Instant;

/// A model that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadModelError {
    /// A configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer's files are not usable.
    #[error("could not read the tokenizer")]
    Tokenizer(#[from] TokenizerError),
    /// The text encoders do not belong to the denoiser.
    #[error(
        "the text encoders do not fit the denoiser: they give vectors of {} with {}, and it takes {} with {}; a Stable \
         Diffusion XL needs both of its text encoders", .gives.0, pooled(.gives.1), .takes.0, pooled(.takes.1)
    )]
    Conditioning {
        /// Width of a token's vector, and of the pooled text where there is one.
        gives: (usize, Option<usize>),
        /// The same, as the denoiser takes it.
        takes: (usize, Option<usize>),
    },
    /// There is nothing to make pixels of latents.
    #[error("the model has no autoencoder: neither a `vae` nor a `taesd`")]
    NoAutoencoder,
    /// The denoiser takes something beside latents that is not known.
    #[error(
        "the denoiser takes {found} channels; known are {latent} (latents) and {} (latents, a mask, and the masked picture's latents)",
        2 * .latent + 1
    )]
    Channels {
        /// Channels that the denoiser takes.
        found: usize,
        /// Channels of the latents.
        latent: usize,
    },
    /// A part's weights do not fit.
    #[error("could not load the weights of `{part}`")]
    Weights {
        /// Which part of the model.
        part: &'static str,
        /// What is wrong with them.
        #[source]
        source: LoadError,
    },
}

fn pooled(width: Option<usize>) -> String {
    width.map_or_else(|| "no pooled text".to_owned(), |width| format!("a pooled text of {width}"))
}

/// A run that ended early.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// Someone asked it to.
    #[error("cancelled")]
    Cancelled,
    /// The schedule cannot be made.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The size does not fit the model.
    #[error("{width} x {height} does not fit this model: both sides must be multiples of {multiple}")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What both must be divisible by.
        multiple: u32,
    },
    /// A tensor that was handed in has the wrong shape.
    #[error("{name} must be {expected:?}, but is {found:?}")]
    Shape {
        /// Which one.
        name: &'static str,
        /// The shape it must have.
        expected: [usize; 4],
        /// The shape it has.
        found: [usize; 4],
    },
    /// A ControlNet of another family.
    #[error("the ControlNet does not fit this model: it was made for {found}, and the model has {expected}")]
    Control {
        /// What the model has.
        expected: String,
        /// What the ControlNet was made for.
        found: String,
    },
    /// A prompt cannot be followed.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A switch has a number that nothing can be made of.
    #[error("{what} is {value}, but must be between {min} and {max}")]
    Switch {
        /// Which number.
        what: &'static str,
        /// What was given.
        value: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
    /// Two things that exclude each other.
    #[error("{what} cannot be combined with {with}; leave one of them out")]
    Combination {
        /// The one.
        what: &'static str,
        /// The other.
        with: &'static str,
    },
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(ExecutionError),
}

impl From<ExecutionError> for GenerateError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error)
    }
}

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

    /// Everything up to finished latents.
    async fn denoise(
        &self,
        request: PipelineRequest,
        observer: &mut impl Observer,
        cancel: &CancelToken,
    ) -> Result<Denoised, GenerateError> {
        let mut request = request;
        self.check(&request)?;
        let kind = request.scheduler.unwrap_or_else(|| self.scheduler.kind());
        let config = self.scheduler.with(request.scheduler_options);
        let mut schedule = Schedule::new(kind, &config, request.steps.get() as usize)?;

        let mut run = Run { observer, cancel, phase: Phase::Text, of: 1, started: Instant::now() };
        run.begin(Phase::Text, 1).await?;
        let mut conditioning = Conditioning::new(self, &request)?;
        run.step(1).await?;

        let seamless = request.switches.seamless;
        let Start { mut latents, first, unmasked, beside } = seamless.within(|| self.start(&mut request, &schedule));
        let evaluations = schedule.timesteps().len();
        let before = first.checked_sub(1).map_or(0, |index| schedule.steps_done(index));
        let of = if first < evaluations { (schedule.steps() - before) as u32 } else { 0 };
        run.begin(Phase::Denoising, of).await?;
        let merger = request.switches.merger();
        let controls = std::mem::take(&mut request.controls);
        let controls = seamless.within(|| Controls::new(controls, first, evaluations));
        let mut step_noise = StepNoiseSampler::new(&schedule, &request.noise);
        let shape = self.latent_shape(&request);
        // A device with a queue works on a step while the one before is reported; any other is done when it is asked.
        let is_queued = kernels::is_queued(&self.device);
        let mut queued = None;
        let mut done = 0;
        for index in first..evaluations {
            let noise = step_noise.draw(&schedule, index, &mut request.noise, shape, &self.device);
            // Some schedules ask the denoiser more than once for a step that a user counts.
            let counted = done as usize + 1;
            let seen = Seen {
                guide: conditioning.guide(counted),
                controls: &controls,
                beside: &beside,
                merger: merger.as_ref(),
            };
            let output = seamless.within(|| self.predict(&latents, &seen, &schedule, index, &request));
            let stepped = schedule.step(output, index, latents, noise);
            latents = match &unmasked {
                Some(unmasked) => unmasked.put_back(stepped.prev_sample, &schedule, index + 1),
                None => stepped.prev_sample,
            };
            let number = (schedule.steps_done(index) - before) as u32;
            // A step may take several evaluations; it is over with the last.
            if number == done {
                continue;
            }
            done = number;
            let is_shown = run.observer.wants_preview(number, of) && number < of;
            let pictures = || self.previewer.pictures(stepped.pred_original_sample, &self.vae);
            let preview = is_shown.then(|| -> Pictures<'_> { Box::pin(pictures()) });
            let step = Step::queue(number, &latents, preview).await;
            let over = if is_queued { queued.replace(step) } else { Some(step) };
            if let Some(step) = over {
                run.finish(step).await?;
            }
        }
        if let Some(last) = queued {
            run.finish(last).await?;
        }

        let is_circular = request.switches.is_circular();
        Ok(Denoised { latents, unmasked, noise: request.noise, tiling: request.vae_tiling, is_circular, seamless })
    }

    /// Pictures of finished latents.
    async fn decode(
        &self,
        denoised: Denoised,
        observer: &mut impl Observer,
        cancel: &CancelToken,
    ) -> Result<Generated, GenerateError> {
        let Denoised { latents, unmasked, tiling, is_circular, seamless, .. } = denoised;
        let [batch, ..] = latents.dims();
        let mut run = Run { observer, cancel, phase: Phase::Decoding, of: 1, started: Instant::now() };
        run.begin(Phase::Decoding, batch as u32).await?;
        let mut images = Vec::with_capacity(batch);
        let mut pictures = Vec::with_capacity(batch);
        // One picture at a time: the decoder's activations are the largest of the whole run.
        for index in 0..batch {
            let one = latents.clone().narrow(0, index, 1);
            let image = seamless.within(|| self.decoded(one, is_circular, tiling));
            let image = (image / 2.0 + 0.5).clamp(0.0, 1.0);
            let image = match &unmasked {
                Some(unmasked) => unmasked.paste(image, index),
                None => image,
            };
            pictures.extend(pictures_of(image.clone()).await?);
            images.push(image);
            run.step(index as u32 + 1).await?;
        }
        Ok(Generated { latents, image: Tensor::cat(images, 0), pictures })
    }

    const fn latent_shape(&self, request: &PipelineRequest) -> [usize; 3] {
        let (width, height) = (request.size.width() as usize, request.size.height() as usize);
        [self.latent_channels, height / self.factor, width / self.factor]
    }

    fn check(&self, request: &PipelineRequest) -> Result<(), GenerateError> {
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

    /// Where a run starts: from noise, or from a picture.
    fn start(&self, request: &mut PipelineRequest, schedule: &Schedule) -> Start {
        let shape = self.latent_shape(request);
        let Some(init) = request.init.take() else {
            let latents = request.latents.take().unwrap_or_else(|| request.noise.draw(shape, &self.device));
            let latents = latents * schedule.init_noise_sigma();
            return Start { latents, first: 0, unmasked: None, beside: self.all_masked(request) };
        };
        let tiling = request.vae_tiling;
        let encode = |pixels, noise| self.vae.encode(pixels, noise, tiling);
        let InitImage { pixels, latents, strength, noise, mask, mut inpaint } = init;
        let [posterior_noise, noise] =
            noise.unwrap_or_else(|| std::array::from_fn(|_| request.noise.draw(shape, &self.device)));
        let original = latents.unwrap_or_else(|| encode(pixels.clone(), posterior_noise));
        let mask = mask.map(|mask| (inpaint.cells.of(&mask, self.factor), mask)).map(|(cells, mask)| (mask, cells));

        let first = schedule.start(f64::from(strength.get()));
        let beside = self.sees_masks().then(|| {
            let noise = inpaint.masked_noise.take().unwrap_or_else(|| request.noise.draw(shape, &self.device));
            inpainting_channels(encode, &pixels, mask.as_ref().map(|(mask, cells)| (mask, cells)), noise)
        });
        let latents = match &mask {
            // As in the reference: nothing of a masked picture is left at full strength.
            Some(_) if first == 0 && strength.get() >= 1.0 => noise.clone() * schedule.init_noise_sigma(),
            _ if first == schedule.timesteps().len() => original.clone().expand(noise.dims()),
            Some((_, cells)) => {
                let content = inpaint.content.put_into(original.clone(), cells, &noise);
                schedule.add_noise(content, noise.clone(), first)
            }
            None => schedule.add_noise(original.clone(), noise.clone(), first),
        };
        let unmasked = mask.map(|mask| {
            let known = beside.is_none().then_some(original);
            Unmasked::new(mask, pixels, known, noise, &inpaint)
        });
        Start { latents, first, unmasked, beside }
    }

    /// Whether the model is one for inpainting, which sees the mask and what is known beside the latents.
    const fn sees_masks(&self) -> bool {
        self.in_channels == 2 * self.latent_channels + 1
    }

    /// What an inpainting model sees when it draws from nothing: all is masked.
    fn all_masked(&self, request: &mut PipelineRequest) -> Option<Tensor<4>> {
        self.sees_masks().then(|| {
            let (height, width) = (request.size.height() as usize, request.size.width() as usize);
            let noise = request.noise.draw(self.latent_shape(request), &self.device);
            let encode = |pixels, noise| self.vae.encode(pixels, noise, request.vae_tiling);
            inpainting_channels(encode, &Tensor::zeros([1, 3, height, width], &self.device), None, noise)
        })
    }

    /// One picture in -1..1.
    fn decoded(&self, latents: Tensor<4>, is_circular: bool, tiling: TilingMode) -> Tensor<4> {
        if !is_circular {
            return self.vae.decode(latents, tiling);
        }
        let [.., columns] = latents.dims();
        let (latents, beside) = surrounded(latents);
        let image = self.vae.decode(latents, tiling);
        image.narrow(3, beside * self.factor, columns * self.factor)
    }

    /// What the denoiser says of the latents, or of each view of them.
    fn predict(
        &self,
        latents: &Tensor<4>,
        seen: &Seen<'_>,
        schedule: &Schedule,
        index: usize,
        request: &PipelineRequest,
    ) -> Tensor<4> {
        let Some(panorama) = request.switches.panorama else {
            return self.predict_view(latents, seen, schedule, index, request);
        };
        let [_, _, height, width] = latents.dims();
        let views = Views::new([height, width], panorama.circular);
        views.mean(latents.dims(), |start| {
            let beside = seen.beside.as_ref().map(|beside| views.crop(beside, start));
            let seen = Seen { beside: &beside, ..*seen };
            self.predict_view(&views.crop(latents, start), &seen, schedule, index, request)
        })
    }

    fn predict_view(
        &self,
        latents: &Tensor<4>,
        seen: &Seen<'_>,
        schedule: &Schedule,
        index: usize,
        request: &PipelineRequest,
    ) -> Tensor<4> {
        let timestep = schedule.timesteps()[index];
        let input = schedule.scale_model_input(latents.clone(), index);
        let [batch, ..] = input.dims();
        let Seen { guide: Guide { context, joined }, controls, beside, merger } = *seen;
        let is_guided = request.guidance.is_active() || joined.is_some();
        let bare = input.clone();
        let probe = request.switches.self_attention.map(|_| AttentionProbe::default());
        let tweaks = Tweaks::new(request.switches.freeu, merger, probe.as_ref());
        let residuals = controls.residuals(&ControlStep { input: &input, timestep, context, is_guided, index });
        let input = match beside {
            Some(beside) => {
                let [_, more, rows, columns] = beside.dims();
                Tensor::cat(vec![input, beside.clone().expand([batch, more, rows, columns])], 1)
            }
            None => input,
        };
        if !is_guided {
            let output = self.unet.forward_tweaked(input, &vec![timestep; batch], context, residuals.as_ref(), tweaks);
            return self.steered(
                output.clone(),
                output,
                &Look { probe: probe.as_ref(), context, latents, seen, schedule, index, request },
            );
        }
        let single = input.clone();
        let input = Tensor::cat(vec![input.clone(), input], 0);
        let output = self.unet.forward_tweaked(input, &vec![timestep; batch * 2], context, residuals.as_ref(), tweaks);
        let unconditional = output.clone().narrow(0, 0, batch);
        let mut conditional = output.narrow(0, batch, batch);
        if let Some(joined) = joined {
            conditional = joined.combine(&unconditional, conditional, |context| {
                let step = ControlStep { input: &bare, timestep, context, is_guided: false, index };
                let residuals = controls.residuals(&step);
                let tweaks = Tweaks::new(request.switches.freeu, merger, None);
                self.unet.forward_tweaked(single.clone(), &vec![timestep; batch], context, residuals.as_ref(), tweaks)
            });
        }
        let scale = if request.guidance.is_active() { f64::from(request.guidance.get()) } else { 1.0 };
        let guided = unconditional.clone() + (conditional.clone() - unconditional.clone()) * scale;
        let guided = match f64::from(request.guidance_rescale.get()) {
            0.0 => guided,
            share => rescale_guidance(guided, conditional, share),
        };
        let context = if probe.is_some() { context.unconditional() } else { context };
        self.steered(
            guided,
            unconditional,
            &Look { probe: probe.as_ref(), context, latents, seen, schedule, index, request },
        )
    }
}

/// What the denoiser is given beside the latents.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The prompts.
    pub(super) guide: &'a Guide,
    /// Networks that steer it.
    pub(super) controls: &'a Controls,
    /// Channels behind the latents.
    pub(super) beside: &'a Option<Tensor<4>>,
    /// What merges its tokens.
    pub(super) merger: Option<&'a TokenMerger>,
}

/// A run before its pictures are decoded.
struct Denoised {
    /// Finished latents.
    latents: Tensor<4>,
    /// What must not change.
    unmasked: Option<Unmasked>,
    /// Where the next noise comes from.
    noise: Noise,
    /// When the pictures are decoded in tiles.
    tiling: TilingMode,
    /// Whether their right edge goes on at the left one.
    is_circular: bool,
    /// Axes along which their edges go on at the opposite ones.
    seamless: Seamless,
}

/// Where a run starts.
struct Start {
    /// The latents before the first step.
    latents: Tensor<4>,
    /// Which step that is.
    first: usize,
    /// What must not change.
    unmasked: Option<Unmasked>,
    /// Channels that an inpainting model sees behind the latents.
    beside: Option<Tensor<4>>,
}

/// Pulls the guided prediction's spread back towards the conditional one's (Lin et al., 2023, section 3.4).
fn rescale_guidance(guided: Tensor<4>, conditional: Tensor<4>, share: f64) -> Tensor<4> {
    let [batch, channels, height, width] = guided.dims();
    let spread = |input: Tensor<4>| {
        let flat = input.reshape([batch, channels * height * width]);
        flat.clone().sub(flat.mean_dim(1)).square().mean_dim(1).sqrt().reshape([batch, 1, 1, 1])
    };
    let rescaled = guided.clone() * (spread(conditional) / spread(guided.clone()));
    rescaled * share + guided * (1.0 - share)
}

/// Pictures on their way from the device.
type Pictures<'a> = Pin<Box<dyn Future<Output = Result<Vec<Picture>, ExecutionError>> + 'a>>;

/// A step that is on the device's queue.
struct Step<'a> {
    /// Counted from 1.
    number: u32,
    /// Resolves when it is computed.
    done: Started<'a, Result<TensorData, ExecutionError>>,
    /// What the pictures look like after it, where that is wanted.
    preview: Option<Started<'a, Result<Vec<Picture>, ExecutionError>>>,
}

impl<'a> Step<'a> {
    async fn queue(number: u32, latents: &Tensor<4>, preview: Option<Pictures<'a>>) -> Self {
        // Reading one value back waits for the device, so that a step's time is its own and a cancel is seen.
        let value = latents.clone().slice([0..1, 0..1, 0..1, 0..1]);
        let done = Started::new(Box::pin(value.into_data_async())).await;
        let preview = match preview {
            Some(preview) => Some(Started::new(preview).await),
            None => None,
        };
        Self { number, done, preview }
    }
}

/// The observer's side of a run.
struct Run<'a, O> {
    observer: &'a mut O,
    cancel: &'a CancelToken,
    phase: Phase,
    of: u32,
    started: Instant,
}

impl<O: Observer> Run<'_, O> {
    async fn begin(&mut self, phase: Phase, of: u32) -> Result<(), GenerateError> {
        self.phase = phase;
        self.of = of;
        self.started = Instant::now();
        self.step(0).await
    }

    /// Waits for a step and reports it.
    async fn finish(&mut self, step: Step<'_>) -> Result<(), GenerateError> {
        step.done.finish().await?;
        if let Some(preview) = step.preview {
            for (index, picture) in (0..).zip(preview.finish().await?) {
                self.observer.preview(index, picture);
            }
        }
        self.step(step.number).await
    }

    async fn step(&mut self, step: u32) -> Result<(), GenerateError> {
        let seconds_per_step = (step > 0).then(|| self.started.elapsed().as_secs_f64() / f64::from(step));
        self.observer.progress(Progress {
            phase: self.phase,
            step,
            of: self.of,
            seconds_per_step,
            eta_seconds: seconds_per_step.map(|seconds| seconds * f64::from(self.of - step)),
        });
        self.observer.pause().await;
        if self.cancel.is_cancelled() { Err(GenerateError::Cancelled) } else { Ok(()) }
    }
}
