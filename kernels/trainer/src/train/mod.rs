//! The demo model, from nothing to a folder in diffusers' layout.

mod autoencoder;
mod denoiser;
mod export;
mod grid;
mod pace;
mod shards;
mod stage;
mod taesd;
mod words;

use crate::{
    MixedPrecision, Report, TrainError,
    demo::{Dataset, Sprites},
};
use burn::tensor::Device;
use diffusion::pipeline::CancelToken;
use std::{path::PathBuf, time::Duration};

/// When a stage ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainLength {
    /// After this many minutes of steps, over all sittings.
    Minutes(f64),
    /// After this many steps; reproducible to the last bit on one machine.
    Steps(u64),
}

/// How a run goes.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Where checkpoints, sample grids and the finished model go; a run found there is continued.
    pub out: PathBuf,
    /// Length of the autoencoder's stage.
    pub autoencoder: TrainLength,
    /// Length of the stage of the small autoencoder for previews.
    pub taesd: TrainLength,
    /// Length of the denoiser's stage.
    pub denoiser: TrainLength,
    /// Pictures in a batch of the denoiser.
    pub batch: usize,
    /// Highest learning rate of the denoiser.
    pub learning_rate: f64,
    /// What is trained on.
    pub dataset: Dataset,
    /// Whether a grid of samples is drawn whenever the denoiser is saved.
    pub draw_grids: bool,
    /// Device to train on, without autodiff.
    pub device: Device,
    /// What is multiplied in halves there.
    pub mixed_precision: MixedPrecision,
    /// How often the run says where it is.
    pub report_every: Duration,
    /// How often the run is saved.
    pub save_every: Duration,
    /// Ends the sitting: the run is saved and can be continued.
    pub cancel: CancelToken,
}

/// Trains the demo model, or goes on where a killed run was; `report` is called every few seconds.
///
/// # Errors
/// [`TrainError`]; what was saved stays usable.
pub fn train_demo(options: &TrainOptions, report: &mut dyn FnMut(Report)) -> Result<(), TrainError> {
    if !options.mixed_precision.is_supported(&options.device) {
        return Err(TrainError::MixedPrecision(options.mixed_precision));
    }
    std::fs::create_dir_all(&options.out).map_err(TrainError::file(&options.out))?;
    let sprites = Sprites::load()?;
    let trained = autoencoder::train(options, &sprites, report)?;
    if options.cancel.is_cancelled() {
        return Ok(());
    }
    taesd::train(options, &sprites, &trained, report)?;
    if options.cancel.is_cancelled() {
        return Ok(());
    }
    denoiser::train(options, &trained, report)?;
    export::export(options, trained.scaling_factor)
}
