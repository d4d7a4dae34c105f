//! Second stage: a small autoencoder (TAESD) for previews, whose decoder costs an eighth of the real one's.

use super::{
    TrainOptions,
    autoencoder::{TrainedAutoencoder, batch_of, shaded},
    stage::{Recipe, Stage},
};
use crate::{
    LearningRate, Report, TrainError,
    demo::{CELL, IMAGE_SIDE, LATENT_CHANNELS, Sprites, configs},
    random::Random,
};
use burn::{
    optim::{AdamWConfig, ModuleOptimizer},
    tensor::{Device, Tensor, TensorData},
};
use diffusion::{
    nn::BuilderRoot,
    picture::Picture,
    vae::{AutoencoderTiny, TinyVaeConfig},
};
use std::ops::Range;

pub(super) const STAGE: &str = "taesd";
const BATCH: usize = 16;
const RATE: LearningRate = LearningRate { peak: 2e-3, warm_up: 100 };

pub fn train(
    options: &TrainOptions,
    sprites: &Sprites,
    trained: &TrainedAutoencoder,
    report: &mut dyn FnMut(Report),
) -> Result<(), TrainError> {
    let config = configs(trained.scaling_factor)?.taesd;
    let recipe = TaesdRecipe { options, sprites, latents: &trained.latents, config };
    Stage::open(options, STAGE, options.taesd, BATCH, RATE)?.run(&recipe, report)
}

struct TaesdRecipe<'a> {
    options: &'a TrainOptions,
    sprites: &'a Sprites,
    latents: &'a [Vec<f32>],
    config: TinyVaeConfig,
}

impl Recipe for TaesdRecipe<'_> {
    type Model = AutoencoderTiny;
    const SEED: u64 = 6;

    fn build(&self, root: &BuilderRoot<'_>) -> Result<AutoencoderTiny, TrainError> {
        Ok(AutoencoderTiny::new(&root.root(""), &self.config)?)
    }

    fn optimiser(&self) -> ModuleOptimizer {
        AdamWConfig::new().with_weight_decay(1e-4).with_epsilon(1e-8).init()
    }

    /// Both halves are taught what the real autoencoder does, each by itself.
    fn loss(
        &self,
        model: &AutoencoderTiny,
        step: u64,
        places: Range<usize>,
        device: &Device,
    ) -> (Tensor<1>, Tensor<1>) {
        let side = (IMAGE_SIDE / CELL) as usize;
        let shape = [places.len(), LATENT_CHANNELS as usize, side, side];
        let indices: Vec<usize> =
            places.map(|place| Random::new(6, step * BATCH as u64 + place as u64).index(self.latents.len())).collect();
        let pictures: Vec<Picture> =
            indices.iter().map(|&index| shaded(self.sprites, &self.options.dataset, index)).collect();
        let latents: Vec<f32> = indices.iter().flat_map(|&index| self.latents[index].iter().copied()).collect();
        let pixels = batch_of(&pictures, device);
        let latents = Tensor::<4>::from_data(TensorData::new(latents, shape), device);
        let seen = (model.decode(latents.clone()) - pixels.clone()).square().mean();
        let encoded = (model.encode(pixels) - latents).square().mean();
        (seen.clone() + encoded * 0.1, seen)
    }
}
