//! What is laid over a model: LoRAs, learned words, another autoencoder; and what Stable Diffusion XL is told of sizes.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use diffusion::{
    adapters::{Adapters, Embedding, Lora, WeightedLora},
    checkpoint,
    pipeline::{Component, ModelFiles, SizeConditioning},
    prompt::take_networks,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    str::FromStr,
};

/// Largest file of a learned word.
const MAX_EMBEDDING: u64 = 64 << 20;

/// What is laid over a model.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Adapters")]
pub struct AdapterArgs {
    /// LoRA with its weight, or one for the denoiser and one for the text encoders [default: 1]; may be given again
    #[arg(long, value_name = "FILE[:WEIGHT[:TEXT]]")]
    lora: Vec<LoraArg>,
    /// Folder of the LoRAs that prompts name as `<lora:NAME:0.8>`
    #[arg(long, value_name = "DIR")]
    lora_dir: Option<PathBuf>,
    /// Learned word (textual inversion), called like its file or NAME; may be given again
    #[arg(long, value_name = "[NAME=]FILE")]
    embedding: Vec<String>,
    /// Autoencoder to use in the place of the model's: a folder, or one file
    #[arg(long, value_name = "DIR_OR_FILE")]
    vae: Option<PathBuf>,
    /// Size that Stable Diffusion XL is told the picture had [default: its own]
    #[arg(long, value_name = "WxH", value_parser = size)]
    original_size: Option<(u32, u32)>,
    /// Left and top of the crop that it is told [default: 0x0]
    #[arg(long, value_name = "LEFTxTOP", value_parser = size)]
    crop: Option<(u32, u32)>,
    /// Size that it is told to draw for [default: the picture's]
    #[arg(long, value_name = "WxH", value_parser = size)]
    target_size: Option<(u32, u32)>,
}

/// A LoRA's file and its weights.
#[derive(Debug, Clone, PartialEq)]
struct LoraArg {
    path: PathBuf,
    unet: f64,
    text: f64,
}

impl FromStr for LoraArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut path, mut weights) = (text, Vec::new());
        // From the end, since a path may have colons.
        while weights.len() < 2
            && let Some((before, last)) = path.rsplit_once(':')
            && let Ok(weight) = last.trim().parse::<f64>()
        {
            if !weight.is_finite() {
                return Err(format!("{last} is no weight"));
            }
            weights.insert(0, weight);
            path = before;
        }
        if path.is_empty() {
            return Err("write FILE, FILE:WEIGHT or FILE:UNET:TEXT".to_owned());
        }
        let unet = weights.first().copied().unwrap_or(1.0);
        Ok(Self { path: path.into(), unet, text: weights.get(1).copied().unwrap_or(unet) })
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let pair = text.split_once(['x', 'X']).and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    pair.ok_or_else(|| format!("`{text}` is not two numbers with an x between them, as 1024x1024"))
}

impl AdapterArgs {
    /// What Stable Diffusion XL is told of sizes.
    pub fn sizes(&self) -> SizeConditioning {
        SizeConditioning {
            original: self.original_size,
            crop: self.crop.unwrap_or_default(),
            target: self.target_size,
            negative: None,
        }
    }

    /// The files with everything over them that the arguments and the prompt ask for.
    pub fn over(&self, files: ModelFiles, prompt: &str, keeps_halves: bool) -> Result<ModelFiles> {
        let mut loras = self.lora.iter().map(LoraArg::open).collect::<Result<Vec<_>>>()?;
        loras.extend(self.of_prompt(prompt)?);
        let embeddings = self.embedding.iter().map(|text| embedding(text)).collect::<Result<_>>()?;
        let vae = self.vae.as_deref().map(|path| autoencoder(path, files.text_encoder_2.is_some())).transpose()?;
        let vae = vae.map(|(config, component)| (Some(config), component));
        let adapters = Adapters { loras, keeps_halves, embeddings, vae };
        if adapters.is_empty() { Ok(files) } else { Ok(adapters.over(&files)?) }
    }

    fn of_prompt(&self, prompt: &str) -> Result<Vec<WeightedLora>> {
        let (_, networks) = take_networks(prompt)?;
        let named = networks.into_iter().map(|network| {
            let name = network.name;
            let Some(folder) = &self.lora_dir else {
                bail!(
                    "the prompt asks for the LoRA `{name}`; say with --lora-dir where it is, or give it as --lora FILE"
                );
            };
            if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
                bail!("`{name}` is no name of a LoRA; it is a file's name without its ending");
            }
            let path = folder.join(format!("{name}.safetensors"));
            LoraArg { path, unet: network.unet_weight, text: network.text_weight }.open()
        });
        named.collect()
    }
}

impl LoraArg {
    fn open(&self) -> Result<WeightedLora> {
        let Self { path, unet, text } = self;
        // PEFT's folders, and the reference's.
        let inner = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"];
        let found = inner.iter().map(|name| path.join(name)).find(|file| file.is_file());
        let file = if path.is_dir() { found.unwrap_or_else(|| path.join(inner[0])) } else { path.clone() };
        let source =
            weights::open_path(&file).with_context(|| format!("could not open the LoRA {}", file.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut lora = Lora::new(&name, Rc::from(source))?;
        if let Ok(config) = fs::read_to_string(file.with_file_name("adapter_config.json")) {
            lora = lora.with_peft_config(&config);
        }
        Ok(WeightedLora { lora: Rc::new(lora), unet: *unet, text: *text })
    }
}

fn embedding(text: &str) -> Result<Embedding> {
    let (word, path) = match text.split_once('=') {
        Some((word, path)) if !Path::new(text).exists() => (Some(word), Path::new(path)),
        _ => (None, Path::new(text)),
    };
    let failed = || format!("could not read the embedding {}", path.display());
    if fs::metadata(path).with_context(failed)?.len() > MAX_EMBEDDING {
        bail!("{} is larger than any embedding", path.display());
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Embedding::read(&stem, word, &fs::read(path).with_context(failed)?)?)
}

/// An autoencoder in a folder with its configuration, or one under the names of either layout.
fn autoencoder(path: &Path, is_xl: bool) -> Result<(String, Component)> {
    let failed = || format!("could not open the autoencoder {}", path.display());
    let (file, config) = if path.is_dir() {
        let file = path.join("diffusion_pytorch_model.safetensors");
        (file, Some(fs::read_to_string(path.join("config.json")).with_context(failed)?))
    } else {
        let beside = fs::read_to_string(path.with_file_name("config.json")).ok();
        let is_vae = |text: &String| {
            serde_json::from_str::<Value>(text).is_ok_and(|config| config["_class_name"] == "AutoencoderKL")
        };
        (path.to_owned(), beside.filter(is_vae))
    };
    let source = weights::open_path(&file).with_context(failed)?;
    let found = checkpoint::autoencoder(&Rc::from(source), is_xl).with_context(failed)?;
    let Some((told, component)) = found else { bail!("{} has no autoencoder in it", file.display()) };
    Ok((config.unwrap_or(told), component))
}

/// Gives a model that draws in one step without guidance its own settings: trailing timesteps of Euler's method say so.
pub fn tune(files: &mut ModelFiles) {
    let config: Value = serde_json::from_str(&files.scheduler_config).unwrap_or_default();
    let is_euler = config["_class_name"].as_str().is_some_and(|class| class.starts_with("Euler"));
    let predicts_noise = config["prediction_type"].as_str().unwrap_or("epsilon") == "epsilon";
    if is_euler && predicts_noise && config["timestep_spacing"] == "trailing" {
        files.card.steps.get_or_insert(1);
        files.card.guidance.get_or_insert(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lora_has_one_weight_or_two_or_none() {
        let lora = |text: &str| text.parse::<LoraArg>().unwrap();
        let expected = |path: &str, unet, text| LoraArg { path: path.into(), unet, text };
        assert_eq!(lora("a.safetensors"), expected("a.safetensors", 1.0, 1.0));
        assert_eq!(lora("c:/a.safetensors:0.7"), expected("c:/a.safetensors", 0.7, 0.7));
        assert_eq!(lora("a:-1:0.5"), expected("a", -1.0, 0.5));
        assert!("".parse::<LoraArg>().is_err() && "a:inf".parse::<LoraArg>().is_err());
        assert_eq!(size("1024x512"), Ok((1024, 512)));
        assert!(size("1024").is_err());
    }
}
