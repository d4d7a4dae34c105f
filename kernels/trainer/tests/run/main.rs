//! Short runs of the trainer on a few pictures.

mod mixed_precision;
mod resume;

use burn::tensor::Device;
use diffusion::pipeline::CancelToken;
use std::{path::Path, time::Duration};
use trainer::{MixedPrecision, TrainLength, TrainOptions, demo::Dataset};

fn options(out: &Path) -> TrainOptions {
    TrainOptions {
        out: out.to_owned(),
        autoencoder: TrainLength::Steps(4),
        taesd: TrainLength::Steps(4),
        denoiser: TrainLength::Steps(4),
        batch: 2,
        learning_rate: 1e-3,
        dataset: Dataset { items: Dataset::training().items.into_iter().step_by(97).collect() },
        draw_grids: false,
        device: Device::flex(),
        mixed_precision: MixedPrecision::No,
        report_every: Duration::ZERO,
        save_every: Duration::from_secs(1000),
        cancel: CancelToken::default(),
    }
}

/// What a stage's state file says.
fn state(run: &Path, stage: &str) -> serde_json::Value {
    let text = std::fs::read(run.join(format!("{stage}.json"))).expect("the stage was saved");
    serde_json::from_slice(&text).expect("the state is JSON")
}
