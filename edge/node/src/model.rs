//! A model from the command line.

use crate::{
    generate::{Recipe, file_pairs},
    progress,
    pull::Cache,
    vocabulary,
};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    checkpoint::{CheckpointOptions, KnownConfigs},
    pipeline::{LoadOptions, ModelFiles, StableDiffusion},
};
use std::path::{Path, PathBuf};

/// What a file of tensors alone does not say.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Models in one file")]
pub struct ModelArgs {
    /// Model that the parts come from which the file has not
    #[arg(long, value_name = "DIR_OR_FILE")]
    base: Option<PathBuf>,
    /// Folder with `vocab.json` and `merges.txt` [default: CLIP's, which are built in]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Folder in diffusers' layout whose configurations go before what shapes tell
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// What the model predicts, where its file does not say it [default: v for Stable Diffusion 2.x, else epsilon]
    #[arg(long, value_enum)]
    prediction: Option<Prediction>,
    /// Take the weights that were averaged over training (EMA), where the file has both
    #[arg(long)]
    ema: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity.
    V,
}

/// What pictures say of it.
const PREDICTION: &str = "Prediction type";
const AVERAGED: (&str, &str) = ("EMA", "True");
/// Keys of names and of hashes, and what gives these files.
const FILES: [(&str, &str, &str); 3] = [
    ("Base model", "Base model SHA-256", "--base"),
    ("Tokenizer", "Tokenizer SHA-256", "--tokenizer"),
    ("Configuration", "Configuration SHA-256", "--config"),
];

impl ModelArgs {
    /// Fills what no flag said by what a picture says.
    pub fn restore(&mut self, recipe: &Recipe) -> Result<()> {
        recipe.restore(&mut self.prediction, PREDICTION, |text| {
            Prediction::from_str(text, false).map_err(anyhow::Error::msg)
        })?;
        recipe.switch(&mut self.ema, AVERAGED);
        for ((key, hash, flag), place) in FILES.into_iter().zip(self.files()) {
            recipe.file(place, key, hash, flag)?;
        }
        Ok(())
    }

    const fn files(&mut self) -> [&mut Option<PathBuf>; 3] {
        [&mut self.base, &mut self.tokenizer, &mut self.config]
    }

    /// What a picture says of it.
    pub fn infotext(&mut self) -> Result<Vec<String>> {
        let mut pairs = Vec::new();
        for ((key, ..), path) in FILES.into_iter().zip(self.files()) {
            pairs.extend(path.as_deref().map(|path| file_pairs(key, &located(path))).transpose()?.unwrap_or_default());
        }
        let prediction = self.prediction.and_then(|prediction| prediction.to_possible_value());
        let prediction = prediction.map(|value| format!("{PREDICTION}: {}", value.get_name()));
        let averaged = self.ema.then(|| format!("{}: {}", AVERAGED.0, AVERAGED.1));
        Ok(pairs.into_iter().chain(prediction).chain(averaged).collect())
    }

    fn options(&self) -> Result<CheckpointOptions> {
        let vocabulary = match &self.tokenizer {
            Some(folder) => vocabulary::in_folder(folder)?,
            None => vocabulary::built_in()?,
        };
        let prediction = self.prediction.map(|prediction| match prediction {
            Prediction::Epsilon => "epsilon".to_owned(),
            Prediction::V => "v_prediction".to_owned(),
        });
        Ok(CheckpointOptions {
            vocabulary: Some(vocabulary),
            configs: self.config.as_deref().map(KnownConfigs::from_folder).unwrap_or_default(),
            prediction,
            averaged: self.ema,
            base: self.base.as_deref().map(open).transpose()?,
        })
    }

    /// The same with another model that lends what the file has not, where none was given.
    #[must_use]
    pub fn with_base(mut self, base: &Path) -> Self {
        self.base.get_or_insert_with(|| base.to_owned());
        self
    }

    /// The model at `path`, or the one of this name that was pulled.
    pub fn open(&self, path: &Path) -> Result<ModelFiles> {
        let path = located(path);
        // A folder has everything; the vocabulary is unpacked for files alone.
        let options = if path.is_file() { self.options()? } else { CheckpointOptions::default() };
        Ok(ModelFiles::open_with(&path, options)?)
    }
}

/// A model with nothing said about it.
pub fn open(path: &Path) -> Result<ModelFiles> {
    ModelArgs::default().open(path)
}

/// `path` itself, or where the model of this name was pulled to.
pub fn located(path: &Path) -> PathBuf {
    if path.exists() {
        return path.to_owned();
    }
    let pulled = path.to_str().and_then(|name| Cache::of_user().ok()?.find(name));
    pulled.unwrap_or_else(|| path.to_owned())
}

/// Puts a model on a device, its quantised weights as they are where that serves it best.
pub fn load(files: &ModelFiles, path: &Path, device: &Device) -> Result<StableDiffusion> {
    let spinner = progress::loading();
    let loaded = StableDiffusion::load(files, device, LoadOptions::for_files(files));
    spinner.finish_and_clear();
    loaded.with_context(|| format!("could not load the model in {}", path.display()))
}

/// What the model calls itself, else what its file or folder is called.
pub fn name(files: &ModelFiles, path: &Path) -> String {
    if !files.card.name.is_empty() {
        return files.card.name.clone();
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}
