//! What is laid over a model: LoRAs, learned words, another autoencoder; and what Stable Diffusion XL is told of sizes.

use super::{
    finder::Wanted,
    recipe::{Recipe, stem},
};
use crate::digest;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use diffusion::{
    adapters::{Adapters, Embedding, Lora, WeightedLora},
    checkpoint,
    metadata::quoted,
    pipeline::{Component, ModelFiles, SizeConditioning},
    prompt::{ExtraNetwork, take_networks},
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
    /// Where the LoRAs of the prompt were found.
    #[arg(skip)]
    of_prompt: Vec<PathBuf>,
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

/// Names and hashes of LoRAs and learned words, as web UIs write them, of so many digits.
const LORA_HASHES: &str = "Lora hashes";
const WORD_HASHES: &str = "TI hashes";
const DIGITS: usize = 12;
const VAE: &str = "VAE";
const VAE_HASH: &str = "VAE hash";
const VAE_DIGITS: usize = 10;
/// Our own: LoRAs of a prompt that has no language, files of words that are called otherwise, sizes that a model is told.
const LORAS: &str = "Lora tags";
const WORD_FILES: &str = "TI files";
const ORIGINAL: &str = "Original size";
const CROP: &str = "Crop";
const TARGET: &str = "Target size";

impl AdapterArgs {
    /// Fills what no flag said by what a picture says; the LoRAs of its prompt are looked for in [`Self::over`].
    pub fn restore(&mut self, recipe: &Recipe) -> Result<()> {
        let files: Vec<_> = listed(recipe.take(WORD_FILES).as_deref(), '=');
        let hashes = listed(recipe.take(WORD_HASHES).as_deref(), ':');
        let is_followed = self.embedding.is_empty() && recipe.is_ours();
        for (word, hash) in hashes.into_iter().filter(|_| is_followed) {
            let file = files.iter().find(|(own, _)| *own == word).map_or(&word, |(_, file)| file);
            let wanted = Wanted { what: "learned word", name: file, hash: Some(&hash), flag: "--embedding" };
            let path = recipe.find(&wanted, digest::of_path)?;
            self.embedding.push(format!("{word}={}", path.display()));
        }
        if recipe.is_ours() || self.vae.is_some() {
            recipe.file(&mut self.vae, VAE, VAE_HASH, "--vae")?;
        } else if let Some(name) = recipe.look(VAE) {
            // Others always say it, and it changes little.
            let wanted = Wanted { what: VAE, name, hash: recipe.look(VAE_HASH), flag: "--vae" };
            self.vae = recipe.find(&wanted, digest::of_path).ok();
            self.vae.as_ref().and_then(|_| recipe.take(VAE));
        }
        let read = |text: &str| size(text).map_err(anyhow::Error::msg);
        recipe.restore(&mut self.original_size, ORIGINAL, read)?;
        recipe.restore(&mut self.crop, CROP, read)?;
        recipe.restore(&mut self.target_size, TARGET, read)
    }

    /// The prompt with the LoRAs that stand outside of it, as web UIs have them.
    pub fn tagged(&self, prompt: &str, is_plain: bool) -> String {
        if is_plain { prompt.to_owned() } else { self.tags() + prompt }
    }

    fn tags(&self) -> String {
        let tag = |LoraArg { path, unet, text }: &LoraArg| format!("<lora:{}:{text}:{unet}>", tag_name(path));
        self.lora.iter().map(tag).collect()
    }

    /// What web UIs write of all of it, and what it takes to have it again.
    pub fn infotext(&self, is_plain: bool) -> Result<Vec<String>> {
        let mut pairs = Vec::new();
        if is_plain && !self.lora.is_empty() {
            pairs.push(format!("{LORAS}: {}", quoted(&self.tags())));
        }
        let files = self.lora.iter().map(|lora| &lora.path).chain(&self.of_prompt);
        let hash = |name: &str, hash: Result<String>| Ok(format!("{name}: {}", &hash?[..DIGITS]));
        let loras = files.map(|file| hash(&tag_name(file), digest::of_tensors(&tensors_of(file))));
        let words = self.embedding.iter().map(|text| {
            let (word, path) = word_and_path(text);
            let read = embedding(text)?;
            Ok((read.word().to_owned(), word.is_some() || read.word() != stem(path), path))
        });
        let words = words.collect::<Result<Vec<_>>>()?;
        let files = words.iter().filter(|(_, is_other, _)| *is_other);
        let files: Vec<_> = files.map(|(word, _, path)| format!("{word}={}", stem(path))).collect();
        let words = words.iter().map(|(word, _, path)| hash(word, digest::of_path(path)));
        let lists = [(LORA_HASHES, loras.collect::<Result<Vec<_>>>()?), (WORD_HASHES, words.collect::<Result<_>>()?)];
        for (key, list) in lists.into_iter().chain([(WORD_FILES, files)]).filter(|(_, list)| !list.is_empty()) {
            pairs.push(format!("{key}: {}", quoted(&list.join(", "))));
        }
        if let Some(vae) = &self.vae {
            pairs.push(format!("{VAE}: {}", quoted(&super::recipe::file_name(vae))));
            pairs.push(format!("{VAE_HASH}: {}", &digest::of_path(vae)?[..VAE_DIGITS]));
        }
        for (key, told) in [(ORIGINAL, self.original_size), (CROP, self.crop), (TARGET, self.target_size)] {
            pairs.extend(told.map(|(a, b)| format!("{key}: {a}x{b}")));
        }
        Ok(pairs)
    }

    /// What Stable Diffusion XL is told of sizes.
    pub fn sizes(&self) -> SizeConditioning {
        SizeConditioning {
            original: self.original_size,
            crop: self.crop.unwrap_or_default(),
            target: self.target_size,
            negative: None,
        }
    }

    /// The files with everything over them that the arguments and the prompt ask for; what only a picture names is looked for.
    pub fn over(
        &mut self,
        files: &ModelFiles,
        prompt: &str,
        recipe: &Recipe,
        keeps_halves: bool,
    ) -> Result<ModelFiles> {
        self.find_tagged(recipe)?;
        let mut loras = self.lora.iter().map(LoraArg::open).collect::<Result<Vec<_>>>()?;
        loras.extend(self.of_prompt(prompt, recipe)?);
        let embeddings = self.embedding.iter().map(|text| embedding(text)).collect::<Result<_>>()?;
        let vae = self.vae.as_deref().map(|path| autoencoder(path, files.text_encoder_2.is_some())).transpose()?;
        let vae = vae.map(|(config, component)| (Some(config), component));
        let adapters = Adapters { loras, keeps_halves, embeddings, vae };
        if adapters.is_empty() { Ok(files.clone()) } else { Ok(adapters.over(files)?) }
    }

    /// LoRAs that a picture of a plain prompt was drawn with.
    fn find_tagged(&mut self, recipe: &Recipe) -> Result<()> {
        let Some(tags) = recipe.take(LORAS).filter(|_| self.lora.is_empty()) else { return Ok(()) };
        for ExtraNetwork { name, unet_weight: unet, text_weight: text } in take_networks(&tags)?.1 {
            let path = self.locate(&name, recipe)?;
            self.lora.push(LoraArg { path, unet, text });
        }
        Ok(())
    }

    fn of_prompt(&mut self, prompt: &str, recipe: &Recipe) -> Result<Vec<WeightedLora>> {
        let (_, networks) = take_networks(prompt)?;
        // A flag gives another weight, and the file.
        let is_given = |name: &str| recipe.is_some() && self.lora.iter().any(|lora| tag_name(&lora.path) == name);
        let networks = networks.into_iter().filter(|network| !is_given(&network.name));
        let named = networks.map(|network| {
            let path = self.locate(&network.name, recipe)?;
            Ok(LoraArg { path, unet: network.unet_weight, text: network.text_weight })
        });
        let named = named.collect::<Result<Vec<_>>>()?;
        self.of_prompt = named.iter().map(|lora| lora.path.clone()).collect();
        named.iter().map(LoraArg::open).collect()
    }

    /// Where the LoRA of a name is.
    fn locate(&self, name: &str, recipe: &Recipe) -> Result<PathBuf> {
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            bail!("`{name}` is no name of a LoRA; it is a file's name without its ending");
        }
        match (self.in_folder(name), recipe.is_some()) {
            (Some(path), false) => Ok(path),
            (Some(path), true) if path.is_file() => Ok(path),
            (None, false) => {
                bail!(
                    "the prompt asks for the LoRA `{name}`; say with --lora-dir where it is, or give it as --lora FILE"
                )
            }
            (_, true) => {
                let hashes = listed(recipe.look(LORA_HASHES), ':');
                let hash = hashes.iter().find(|(own, _)| own == name).map(|(_, hash)| hash.as_str());
                let wanted = Wanted { what: "LoRA", name, hash, flag: "--lora" };
                recipe.find(&wanted, |path| digest::of_tensors(&tensors_of(path)))
            }
        }
    }

    fn in_folder(&self, name: &str) -> Option<PathBuf> {
        self.lora_dir.as_ref().map(|folder| folder.join(format!("{name}.safetensors")))
    }
}

/// `a: 1, b: 2`, or with another sign between.
fn listed(text: Option<&str>, sign: char) -> Vec<(String, String)> {
    let parts = text.unwrap_or_default().split(", ").filter_map(|part| part.rsplit_once(sign));
    parts.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// A LoRA's name as a tag can have it.
fn tag_name(path: &Path) -> String {
    stem(path).replace([':', ',', '<', '>'], "_")
}

/// The file that a LoRA's tensors are in, which for a folder is one of PEFT's or of the reference's.
fn tensors_of(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let inner = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"].map(|name| path.join(name));
    inner.iter().find(|file| file.is_file()).unwrap_or(&inner[0]).clone()
}

impl LoraArg {
    fn open(&self) -> Result<WeightedLora> {
        let Self { path, unet, text } = self;
        let file = tensors_of(path);
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

fn word_and_path(text: &str) -> (Option<&str>, &Path) {
    match text.split_once('=') {
        Some((word, path)) if !Path::new(text).exists() => (Some(word), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

fn embedding(text: &str) -> Result<Embedding> {
    let (word, path) = word_and_path(text);
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
