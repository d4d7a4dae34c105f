//! First stage: pixels to latents and back.

use super::{
    TrainOptions,
    stage::{Recipe, Stage, load},
};
use crate::{
    LearningRate, Report, TrainError,
    checkpoint::Checkpoint,
    demo::{CELL, COLOURS, Colour, Dataset, IMAGE_SIDE, Item, LATENT_CHANNELS, Sprites, configs, is_held_out},
    random::Random,
};
use burn::{
    grad_clipping::GradientClippingConfig,
    optim::{AdamWConfig, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use diffusion::{
    nn::BuilderRoot,
    picture::Picture,
    vae::{AutoencoderKl, VaeConfig},
};
use std::ops::Range;

pub(super) const STAGE: &str = "autoencoder";
const BATCH: usize = 8;
/// Numbers in the latents of a picture.
const LATENTS: usize = (LATENT_CHANNELS * (IMAGE_SIDE / CELL).pow(2)) as usize;
const RATE: LearningRate = LearningRate { peak: 1.5e-3, warm_up: 100 };
/// How often each picture is encoded, on another shade of its background each time.
const SHADES: usize = 4;
/// How far a shade's channels are from the named colour's, at most.
const SHADE: f32 = 12.0;
/// Weight of the Kullback-Leibler term; the denoiser only needs latents that stay near the origin.
const KL: f64 = 1e-5;

/// The trained autoencoder and what it makes of the training pictures.
pub struct TrainedAutoencoder {
    /// One over the latents' standard deviation.
    pub scaling_factor: f64,
    /// Scaled latents, `[channels * height * width]` values for each picture of the data set, [`SHADES`] times over: first on
    /// the named backgrounds, then on shades of them.
    pub latents: Vec<Vec<f32>>,
}

pub fn train(
    options: &TrainOptions,
    sprites: &Sprites,
    report: &mut dyn FnMut(Report),
) -> Result<TrainedAutoencoder, TrainError> {
    let recipe = AutoencoderRecipe { options, sprites, config: configs(1.0)?.vae };
    Stage::open(options, STAGE, options.autoencoder, BATCH, RATE)?.run(&recipe, report)?;
    let checkpoint = Checkpoint::new(&options.out, STAGE);
    let (vae, _) = load(&checkpoint.average(), &options.device, None, |root| recipe.build(root))?;
    Ok(encode_all(&vae, sprites, &options.dataset, &options.device))
}

struct AutoencoderRecipe<'a> {
    options: &'a TrainOptions,
    sprites: &'a Sprites,
    config: VaeConfig,
}

impl Recipe for AutoencoderRecipe<'_> {
    type Model = AutoencoderKl;
    const SEED: u64 = 1;

    fn build(&self, root: &BuilderRoot<'_>) -> Result<AutoencoderKl, TrainError> {
        Ok(AutoencoderKl::new(&root.root(""), &self.config)?)
    }

    fn optimiser(&self) -> ModuleOptimizer {
        AdamWConfig::new()
            .with_weight_decay(1e-4)
            .with_epsilon(1e-8)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
            .init()
    }

    fn loss(&self, model: &AutoencoderKl, step: u64, places: Range<usize>, device: &Device) -> (Tensor<1>, Tensor<1>) {
        loss(model, batch(self.options, self.sprites, step, places), device)
    }
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
        let background = background(item, &mut random);
        pictures.push(sprites.draw_on(item.object, background, item.scale, item.position));
        noise.extend(random.normal(LATENTS));
    }
    Batch { pictures, noise }
}

/// The named background, or as often any colour, but none that is kept from the object.
///
/// Trained on the named ones alone, an autoencoder gives pairs that it never saw the colours of those that it did.
fn background(item: Item, random: &mut Random) -> [u8; 3] {
    let any = [(); 3].map(|()| (random.unit() * 255.0) as u8);
    let is_kept = is_held_out(item.object, Colour::nearest(any));
    if random.unit() < 0.5 || is_kept { COLOURS[item.colour].rgb } else { any }
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
pub(super) fn batch_of(pictures: &[Picture], device: &Device) -> Tensor<4> {
    Tensor::cat(pictures.iter().map(|picture| picture.to_tensor(device)).collect(), 0)
}

/// The picture whose latents have this index: every item on its named background first, then on shades of it.
pub(super) fn shaded(sprites: &Sprites, dataset: &Dataset, index: usize) -> Picture {
    let Item { object, colour, scale, position } = dataset.items[index % dataset.items.len()];
    let reach = if index < dataset.items.len() { 0.0 } else { SHADE };
    let mut random = Random::new(5, index as u64);
    let offsets = [(); 3].map(|()| ((random.unit() * 2.0 - 1.0) * reach) as i16);
    sprites.draw_on(object, COLOURS[colour].shade(offsets), scale, position)
}

fn encode_all(vae: &AutoencoderKl, sprites: &Sprites, dataset: &Dataset, device: &Device) -> TrainedAutoencoder {
    let mut latents = Vec::with_capacity(dataset.items.len() * SHADES);
    let all: Vec<usize> = (0..dataset.items.len() * SHADES).collect();
    for indices in all.chunks(64) {
        let pictures: Vec<Picture> = indices.iter().map(|&index| shaded(sprites, dataset, index)).collect();
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

const _: () = assert!(IMAGE_SIDE.is_multiple_of(CELL));
