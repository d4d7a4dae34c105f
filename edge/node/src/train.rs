//! `darkroom train`.

use crate::{device::DeviceKind, interrupt};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};
use trainer::{MixedPrecision, TrainLength, TrainOptions, demo, train_demo};

/// What to train.
#[derive(Debug, Subcommand)]
pub enum Train {
    /// The demo model: objects on coloured backgrounds
    Demo(Demo),
    /// Take the demo's objects out of an emoji font, as one picture
    Sprites(SpriteSheet),
}

/// How to train the demo model.
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder for checkpoints, sample grids and the finished model; a run found there is continued
    #[arg(long)]
    out: PathBuf,
    /// Minutes in all; a sixth of them trains the autoencoder, and a quarter as many the small one for previews
    #[arg(long, default_value_t = 120.0)]
    minutes: f64,
    /// Minutes of the autoencoder, if not a sixth; a quarter of them more trains the one for previews
    #[arg(long)]
    autoencoder_minutes: Option<f64>,
    /// Steps of each stage instead of minutes, for runs that repeat exactly
    #[arg(long)]
    steps: Option<u64>,
    /// Pictures in a batch
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    device: DeviceKind,
    /// What products are computed in [default: the best that the device has; the CPU gains nothing]
    #[arg(long, value_enum)]
    mixed_precision: Option<Precision>,
}

/// The choices of `--mixed-precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// f32
    No,
    /// bfloat16
    Bf16,
    /// Half precision with a scaled loss
    Fp16,
}

impl From<Precision> for MixedPrecision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::No => Self::No,
            Precision::Bf16 => Self::Bf16,
            Precision::Fp16 => Self::Fp16,
        }
    }
}

/// Where the font is and where the sheet goes.
#[derive(Debug, Args)]
pub struct SpriteSheet {
    /// Noto Color Emoji
    #[arg(long, default_value = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")]
    font: PathBuf,
    /// The sheet
    #[arg(long, default_value = "kernels/trainer/assets/objects.png")]
    out: PathBuf,
}

impl Train {
    /// Runs it.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Demo(demo) => demo.run(),
            Self::Sprites(sheet) => demo::extract_sprites(&sheet.font, &sheet.out).with_context(|| {
                format!("could not read {}; on Debian, install fonts-noto-color-emoji", sheet.font.display())
            }),
        }
    }
}

impl Demo {
    fn run(self) -> Result<()> {
        let vae = self.autoencoder_minutes.unwrap_or(self.minutes / 6.0);
        let taesd = vae / 4.0;
        let length = |minutes| self.steps.map_or(TrainLength::Minutes(minutes), TrainLength::Steps);
        let device = self.device.open()?;
        let options = TrainOptions {
            autoencoder: length(vae),
            taesd: length(taesd),
            denoiser: length((self.minutes - vae - taesd).max(0.0)),
            batch: self.batch,
            learning_rate: self.learning_rate,
            mixed_precision: self.mixed_precision.map_or_else(|| MixedPrecision::best(&device), MixedPrecision::from),
            device,
            out: self.out,
            report_every: Duration::from_secs(10),
            save_every: Duration::from_secs(150),
            cancel: interrupt::token()?,
            dataset: demo::Dataset::training(),
            draw_grids: true,
        };
        train_demo(&options, &mut |report| println!("{report}"))
            .with_context(|| format!("training into {} stopped", options.out.display()))?;
        if options.cancel.is_cancelled() {
            println!("saved; the same command goes on from here");
        } else {
            println!("the model is in {}", options.out.join("model").display());
        }
        Ok(())
    }
}
