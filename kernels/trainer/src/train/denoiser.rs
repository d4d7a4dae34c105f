//! Second stage: the UNet and the text encoder, together.

use super::{
    TrainOptions,
    autoencoder::{TrainedAutoencoder, load},
    grid,
    pace::Pace,
    shards::Shards,
    words,
};
use crate::{
    LearningRate, Report, TrainError,
    average::{Average, parameters},
    checkpoint::Checkpoint,
    demo::{Dataset, configs, random_caption, tokenizer},
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
    unet::{UNet2DConditionModel, UNetConfig},
};
use std::ops::Range;

/// Share of captions that are left empty, so that guidance has something to guide away from (Ho and Salimans, 2022).
const DROPPED: f32 = 0.1;

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
        let side = ((self.latents[0].len() / 4) as f64).sqrt() as usize;
        let shape = [places.len(), 4, side, side];
        let (mut noisy, mut velocity) = (Vec::new(), Vec::new());
        let (mut timesteps, mut ids) = (Vec::new(), Vec::new());
        for place in places {
            let mut random = Random::new(2, step * size as u64 + place as u64);
            let index = random.index(self.dataset.items.len());
            let caption = random_caption(self.dataset.items[index], &mut random);
            let caption = if random.unit() < DROPPED { String::new() } else { caption };
            // Stratified over the batch: less variance than independent draws.
            let share = (place as f64 + f64::from(random.unit())) / size as f64;
            let timestep = ((share * trained as f64) as usize).min(trained - 1);
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
    let checkpoint = Checkpoint::new(&options.out, "denoiser");
    let saved = checkpoint.state()?;
    let mut pace = Pace::new(options, "denoiser", options.denoiser, options.batch, saved.unwrap_or_default());
    if pace.is_over() {
        return Ok(());
    }
    let device = options.device.clone().autodiff();
    let build = |root: &BuilderRoot<'_>| Denoiser::new(root, &all.unet, &all.text);
    let mut optimiser = optimiser();
    let (model, names, mut average) = if let Some(state) = saved {
        optimiser = checkpoint.load_optimiser(state, optimiser)?;
        let (model, names) = load(&checkpoint.weights(), &device, build)?;
        let (averaged, _) = load(&checkpoint.average(), &options.device, build)?;
        (model, names, Average::new(0.999, parameters(&averaged)))
    } else {
        let root = BuilderRoot::random(2, &device);
        let mut model = build(&root)?;
        model.text_encoder = words::teach(options, model.text_encoder, &all.text, &device, report)?;
        let average = Average::new(0.999, parameters(&model));
        (model, root.names(), average)
    };
    let mut model = model.set_require_grad(true);
    let table = NoiseTable::new(&all.scheduler).unwrap_or_else(|_| unreachable!("the demo's schedule is a known one"));
    let source = Source {
        dataset: &options.dataset,
        latents: &trained.latents,
        tokenizer: &tokenizer()?,
        table: &table,
        context: all.text.max_position_embeddings,
    };
    let rate = LearningRate { peak: options.learning_rate, warm_up: 200 };
    let shards = Shards::new(&options.device, options.batch)?;
    while !pace.is_over() {
        let timesteps = all.scheduler.num_train_timesteps;
        let (loss, gradients) = shards.gradients(&model, options.batch, |model, places| {
            let loss = loss(model, source.batch(pace.state.step, places, options.batch, timesteps, &device), &device);
            (loss.clone(), loss)
        });
        model = optimiser.step(rate.at(pace.state.step, pace.done()), model, gradients);
        average.update(pace.state.step, parameters(&model));
        pace.step(loss, report);
        if pace.wants_save() {
            checkpoint.save(pace.state, &names, &parameters(&model), &average.parameters, &optimiser)?;
            if options.draw_grids {
                grid::draw(options, trained.scaling_factor, pace.state.step)?;
            }
        }
    }
    Ok(())
}

fn optimiser() -> ModuleOptimizer {
    AdamWConfig::new()
        .with_beta_2(0.99)
        .with_weight_decay(1e-2)
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init()
}

fn loss(model: &Denoiser, batch: Batch, device: &Device) -> Tensor<1> {
    let context = model.text_encoder.forward(&batch.ids, 1, device).hidden;
    let output = model.unet.forward(batch.noisy, &batch.timesteps, &context);
    (output - batch.velocity).square().mean()
}
