//! A model from the command line.

use crate::progress;
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::pipeline::{LoadOptions, ModelFiles, StableDiffusion};
use std::path::Path;

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
