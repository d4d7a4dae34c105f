//! Third stage: the UNet and the text encoder, together.

use super::{
    TrainOptions,
    autoencoder::TrainedAutoencoder,
    grid,
    stage::{Recipe, Stage},
    words,
};
use crate::{
    LearningRate, Report, TrainError,
    demo::{CELL, Dataset, DemoConfigs, IMAGE_SIDE, LATENT_CHANNELS, configs, random_caption, tokenizer},
    random::Random,
};
use burn::{
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamWConfig, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use diffusion::{
    nn::BuilderRoot,
    scheduler::NoiseTable,
    text::{ClipTextConfig, ClipTextModel, Tokenizer},
    unet::{Context, UNet2DConditionModel, UNetConfig},
};
use std::ops::Range;

pub(super) const STAGE: &str = "denoiser";

/// Share of captions that are left empty, so that guidance has something to guide away from (Ho and Salimans, 2022).
const DROPPED: f32 = 0.1;

/// Power of a uniform draw that gives the timestep: below 1, noisy ones come more often, where it is decided what is drawn.
const LEANING: f64 = 0.75;

/// What is trained together.
#[derive(Module, Debug)]
pub struct Denoiser {
    pub unet: UNet2DConditionModel,
    pub text_encoder: ClipTextModel,
}

impl Denoiser {
    pub fn new(root: &BuilderRoot<'_>, unet: &UNetConfig, text: &ClipTextConfig) -> Result<Self, TrainError> {
        Ok(Self {
            unet: UNet2DConditionModel::new(&root.root("unet"), unet)?,
            text_encoder: ClipTextModel::new(&root.root("text_encoder"), text)?,
        })
    }
}

/// A part of one step's samples.
struct Batch {
    noisy: Tensor<4>,
    velocity: Tensor<4>,
    timesteps: Vec<f64>,
    ids: Vec<Vec<u32>>,
}

struct Source<'a> {
    dataset: &'a Dataset,
    latents: &'a [Vec<f32>],
    tokenizer: &'a Tokenizer,
    table: &'a NoiseTable,
    context: usize,
}

impl Source<'_> {
    /// Everything about a sample follows from the number of its step and its place in the batch.
    fn batch(&self, step: u64, places: Range<usize>, size: usize, trained: usize, device: &Device) -> Batch {
        let side = (IMAGE_SIDE / CELL) as usize;
        let shape = [places.len(), LATENT_CHANNELS as usize, side, side];
        let (mut noisy, mut velocity) = (Vec::new(), Vec::new());
        let (mut timesteps, mut ids) = (Vec::new(), Vec::new());
        for place in places {
            let mut random = Random::new(2, step * size as u64 + place as u64);
            let index = random.index(self.latents.len());
            let item = self.dataset.items[index % self.dataset.items.len()];
            let caption = random_caption(item, &mut random);
            let caption = if random.unit() < DROPPED { String::new() } else { caption };
            // Stratified over the batch: less variance than independent draws.
            let share = (place as f64 + f64::from(random.unit())) / size as f64;
            let timestep = ((share.powf(LEANING) * trained as f64) as usize).min(trained - 1);
            let kept = self.table.alpha_cumprod(timestep);
            let (alpha, sigma) = (kept.sqrt() as f32, (1.0 - kept).sqrt() as f32);
            let latents = &self.latents[index];
            for (&latent, noise) in latents.iter().zip(random.normal(latents.len())) {
                noisy.push(alpha * latent + sigma * noise);
                velocity.push(alpha * noise - sigma * latent);
            }
            timesteps.push(timestep as f64);
            ids.push(self.tokenizer.encode(&caption, self.context));
        }
        Batch {
            noisy: Tensor::from_data(TensorData::new(noisy, shape), device),
            velocity: Tensor::from_data(TensorData::new(velocity, shape), device),
            timesteps,
            ids,
        }
    }
}

pub fn train(
    options: &TrainOptions,
    trained: &TrainedAutoencoder,
    report: &mut dyn FnMut(Report),
) -> Result<(), TrainError> {
    let all = configs(trained.scaling_factor)?;
    let tokenizer = tokenizer()?;
    let table = NoiseTable::new(&all.scheduler).unwrap_or_else(|_| unreachable!("the demo's schedule is a known one"));
    let source = Source {
        dataset: &options.dataset,
        latents: &trained.latents,
        tokenizer: &tokenizer,
        table: &table,
        context: all.text.max_position_embeddings,
    };
    let recipe = DenoiserRecipe { options, scaling_factor: trained.scaling_factor, all: &all, source };
    let rate = LearningRate { peak: options.learning_rate, warm_up: 200 };
    Stage::open(options, STAGE, options.denoiser, options.batch, rate)?.run(&recipe, report)
}

struct DenoiserRecipe<'a> {
    options: &'a TrainOptions,
    scaling_factor: f64,
    all: &'a DemoConfigs,
    source: Source<'a>,
}

impl Recipe for DenoiserRecipe<'_> {
    type Model = Denoiser;
    const SEED: u64 = 2;

    fn build(&self, root: &BuilderRoot<'_>) -> Result<Denoiser, TrainError> {
        Denoiser::new(root, &self.all.unet, &self.all.text)
    }

    fn prepare(&self, mut model: Denoiser, report: &mut dyn FnMut(Report)) -> Result<Denoiser, TrainError> {
        let device = self.options.device.clone().autodiff();
        model.text_encoder = words::teach(self.options, model.text_encoder, &self.all.text, &device, report)?;
        Ok(model)
    }

    fn optimiser(&self) -> ModuleOptimizer {
        AdamWConfig::new()
            .with_beta_2(0.99)
            .with_weight_decay(1e-2)
            .with_epsilon(1e-8)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
            .init()
    }

    fn loss(&self, model: &Denoiser, step: u64, places: Range<usize>, device: &Device) -> (Tensor<1>, Tensor<1>) {
        let timesteps = self.all.scheduler.num_train_timesteps;
        let Batch { noisy, velocity, timesteps, ids } =
            self.source.batch(step, places, self.options.batch, timesteps, device);
        let context = model.text_encoder.forward(&ids, 1, device).hidden;
        let output = model.unet.forward(noisy, &timesteps, &Context::new(context));
        let loss = (output - velocity).square().mean();
        (loss.clone(), loss)
    }

    fn saved(&self, step: u64) -> Result<(), TrainError> {
        if self.options.draw_grids { grid::draw(self.options, self.scaling_factor, step) } else { Ok(()) }
    }
}
