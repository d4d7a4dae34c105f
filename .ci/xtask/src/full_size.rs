//! Models of full size with random weights, which the browser's tests and the benches load.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::place::Place;
use crate::process::quiet;
use crate::stamp::Stamp;
use crate::step::Steps;

/// What decides its bytes.
const SOURCES: [&str; 4] = [
    "edge/node/src/random_model",
    "edge/node/src/random_model.rs",
    "edge/node/src/convert",
    "kernels/weights/src/quantise.rs",
];
const TOKENIZER: &str = "tests/golden/data/tokenizer";

/// Make it unless this very model is there: 687 MB of SD-Turbo's shapes in `Q4_0`, with the small autoencoder.
pub async fn ensure(place: &Place, steps: Steps) -> Result<PathBuf> {
    let folder = place.cache.join("models");
    let file = folder.join("sd-turbo-q4_0.gguf");
    let stamp = Stamp::of(&place.root, &SOURCES)?;
    let stamp_file = folder.join("sd-turbo-q4_0.stamp");
    if stamp.is_in(&stamp_file) && file.is_file() {
        return Ok(file);
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut darkroom: Command = place.command(place.darkroom());
    darkroom
        .args(["random-model", "--shapes", "sd-turbo", "--type", "q4_0", "--tokenizer", TOKENIZER, "--out"])
        .arg(&file);
    let what = "the model of full size cannot be made (it takes 690 MB of disk)";
    let told = "making a model of full size with random weights (about 30 s)";
    steps.run(told, quiet(&mut darkroom, &place.log("full-size"), what)).await?;
    stamp.write(&stamp_file)?;
    Ok(file)
}

/// Make, unless it is there, a folder in diffusers' layout of Stable Diffusion 1.5's shapes in half precision: 2.1 GB.
pub async fn sd15_folder(place: &Place, steps: Steps) -> Result<PathBuf> {
    let models = place.cache.join("models");
    let (file, folder) = (models.join("sd15-f16.gguf"), models.join("sd15-f16"));
    let stamp = Stamp::of(&place.root, &SOURCES)?;
    let stamp_file = models.join("sd15-f16.stamp");
    if stamp.is_in(&stamp_file) && folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&models).with_context(|| format!("{} cannot be made", models.display()))?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    let what = "the model of Stable Diffusion 1.5's shapes cannot be made (it takes 4.3 GB of disk while it is made)";
    let mut random = place.command(place.darkroom());
    random
        .args(["random-model", "--shapes", "sd15", "--vae", "--type", "f16", "--tokenizer", TOKENIZER, "--out"])
        .arg(&file);
    let told = "making a model of Stable Diffusion 1.5's shapes with random weights (about 1 min)";
    steps.run(told, quiet(&mut random, &place.log("sd15"), what)).await?;
    let mut convert = place.command(place.darkroom());
    convert.args(["convert", "--to", "safetensors", "--type", "f16", "--model"]).arg(&file).arg("--out").arg(&folder);
    steps.run("writing it as a folder", quiet(&mut convert, &place.log("sd15"), what)).await?;
    fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))?;
    stamp.write(&stamp_file)?;
    Ok(folder)
}
