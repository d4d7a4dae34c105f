//! First stage: pixels to latents and back.

use super::{TrainOptions, pace::Pace, shards::Shards};
use crate::{
    LearningRate, Report, TrainError,
    average::{Average, parameters},
    checkpoint::{Checkpoint, State},
    demo::{Dataset, IMAGE_SIDE, Sprites, configs},
    random::Random,
};
use burn::{
    grad_clipping::GradientClippingConfig,
    module::{Module as _, ParamId},
    optim::AdamWConfig,
    tensor::{Device, Tensor, TensorData},
};
use diffusion::{
    nn::{BuilderRoot, LoadError},
    picture::Picture,
    vae::{AutoencoderKl, VaeConfig},
};
use std::{ops::Range, path::Path};

const BATCH: usize = 8;
/// Numbers in the latents of a picture: 4 channels at a quarter of its sides.
const LATENTS: usize = (4 * IMAGE_SIDE * IMAGE_SIDE / 16) as usize;
const RATE: LearningRate = LearningRate { peak: 1.5e-3, warm_up: 100 };
/// Weight of the Kullback-Leibler term; the denoiser only needs latents that stay near the origin.
const KL: f64 = 1e-5;

/// The trained autoencoder and what it makes of the training pictures.
pub struct TrainedAutoencoder {
    /// One over the latents' standard deviation.
    pub scaling_factor: f64,
    /// Scaled latents, `[4 * 16 * 16]` values for each picture of the data set.
    pub latents: Vec<Vec<f32>>,
}

/// Reads parameters of a stage from its checkpoint.
pub fn load<T>(
    path: &Path,
    device: &Device,
    build: impl FnOnce(&BuilderRoot<'_>) -> Result<T, TrainError>,
) -> Result<(T, Vec<(ParamId, String)>), TrainError> {
    let source = weights::open_path(path)?;
    let root = BuilderRoot::from_checkpoint(&*source, device, false);
    let module = build(&root)?;
    root.finish("").map_err(|error: LoadError| TrainError::Load(error))?;
    Ok((module, root.names()))
}

pub fn train(
    options: &TrainOptions,
    sprites: &Sprites,
    report: &mut dyn FnMut(Report),
) -> Result<TrainedAutoencoder, TrainError> {
    let config = configs(1.0)?.vae;
    let checkpoint = Checkpoint::new(&options.out, "autoencoder");
    let saved = checkpoint.state()?;
    let mut pace = Pace::new(options, "autoencoder", options.autoencoder, BATCH, saved.unwrap_or_default());
    if !pace.is_over() {
        steps(options, sprites, &config, &checkpoint, saved, &mut pace, report)?;
    }
    let (vae, _) =
        load(&checkpoint.average(), &options.device, |root| Ok(AutoencoderKl::new(&root.root(""), &config)?))?;
    Ok(encode_all(&vae, sprites, &options.dataset, &options.device))
}

fn steps(
    options: &TrainOptions,
    sprites: &Sprites,
    config: &VaeConfig,
    checkpoint: &Checkpoint,
    saved: Option<State>,
    pace: &mut Pace<'_>,
    report: &mut dyn FnMut(Report),
) -> Result<(), TrainError> {
    let device = options.device.clone().autodiff();
    let build = |root: &BuilderRoot<'_>| Ok(AutoencoderKl::new(&root.root(""), config)?);
    let mut optimiser = AdamWConfig::new()
        .with_weight_decay(1e-4)
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let (model, names, mut average) = if let Some(state) = saved {
        optimiser = checkpoint.load_optimiser(state, optimiser)?;
        let (model, names) = load(&checkpoint.weights(), &device, build)?;
        let (averaged, _) = load(&checkpoint.average(), &options.device, build)?;
        (model, names, Average::new(0.999, parameters(&averaged)))
    } else {
        let root = BuilderRoot::random(1, &device);
        let model = build(&root)?;
        let average = Average::new(0.999, parameters(&model));
        (model, root.names(), average)
    };
    let mut model = model.set_require_grad(true);
    let shards = Shards::new(&options.device, BATCH)?;
    while !pace.is_over() {
        let step = pace.state.step;
        let (squared, gradients) = shards
            .gradients(&model, BATCH, |model, places| loss(model, batch(options, sprites, step, places), &device));
        model = optimiser.step(RATE.at(step, pace.done()), model, gradients);
        average.update(pace.state.step, parameters(&model));
        pace.step(squared, report);
        if pace.wants_save() {
            checkpoint.save(pace.state, &names, &parameters(&model), &average.parameters, &optimiser)?;
        }
    }
    Ok(())
}

/// A part of one step's pictures, and the noise of their latents.
struct Batch {
    pictures: Vec<Picture>,
    noise: Vec<f32>,
}

/// Everything about a sample follows from the number of its step and its place in the batch.
fn batch(options: &TrainOptions, sprites: &Sprites, step: u64, places: Range<usize>) -> Batch {
    let (mut pictures, mut noise) = (Vec::new(), Vec::new());
    for place in places {
        let mut random = Random::new(1, step * BATCH as u64 + place as u64);
        let item = *random.pick(&options.dataset.items);
        pictures.push(sprites.draw(item.object, item.colour, item.scale, item.position));
        noise.extend(random.normal(LATENTS));
    }
    Batch { pictures, noise }
}

/// What is minimised, and the squared error in it.
fn loss(model: &AutoencoderKl, batch: Batch, device: &Device) -> (Tensor<1>, Tensor<1>) {
    let pixels = batch_of(&batch.pictures, device);
    let posterior = model.encode(pixels.clone());
    let noise = Tensor::from_data(TensorData::new(batch.noise, posterior.mean.dims()), device);
    let divergence =
        (posterior.mean.clone().square() + posterior.logvar.clone().exp() - posterior.logvar.clone() - 1.0).mean();
    let difference = model.decode(posterior.sample(noise)) - pixels;
    let squared = difference.clone().square().mean();
    (squared.clone() + difference.abs().mean() * 0.2 + divergence * KL, squared)
}

/// # Shapes
///
/// - output: `[batch, 3, height, width]` in -1..1
fn batch_of(pictures: &[Picture], device: &Device) -> Tensor<4> {
    Tensor::cat(pictures.iter().map(|picture| picture.to_tensor(device)).collect(), 0)
}

fn encode_all(vae: &AutoencoderKl, sprites: &Sprites, dataset: &Dataset, device: &Device) -> TrainedAutoencoder {
    let mut latents = Vec::with_capacity(dataset.items.len());
    for items in dataset.items.chunks(64) {
        let pictures: Vec<Picture> =
            items.iter().map(|item| sprites.draw(item.object, item.colour, item.scale, item.position)).collect();
        let mean = vae.encode(batch_of(&pictures, device)).mean;
        let [_, channels, height, width] = mean.dims();
        let values: Vec<f32> = mean.into_data().iter::<f32>().collect();
        latents.extend(values.chunks_exact(channels * height * width).map(<[f32]>::to_vec));
    }
    let count = latents.iter().map(Vec::len).sum::<usize>() as f64;
    let mean = latents.iter().flatten().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = latents.iter().flatten().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    // Five digits are enough, and make the same file from the same weights.
    let scaling_factor = (1e5 / variance.sqrt()).round() / 1e5;
    for value in latents.iter_mut().flatten() {
        *value *= scaling_factor as f32;
    }
    TrainedAutoencoder { scaling_factor, latents }
}

const _: () = assert!(IMAGE_SIDE.is_multiple_of(4));
