//! `darkroom random-model`: a model of real shapes with random weights, to measure and test with.

mod configs;
mod source;

use crate::convert::{Convert, Kind};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    nn::{Builder, BuilderRoot, Outlined},
    pipeline::{Component, ModelCard, ModelFiles},
    text::ClipTextModel,
    unet::UNet2DConditionModel,
    vae::{AutoencoderKl, AutoencoderTiny, TinyVaeConfig},
};
use source::RandomSource;
use std::{fs, path::PathBuf, rc::Rc};
use weights::DEFAULT_RANGE_SIZE;

/// Whose shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shapes {
    /// Stable Diffusion 1.5.
    #[value(name = "sd15")]
    Sd15,
    /// SD-Turbo, which is Stable Diffusion 2.1 in one step.
    SdTurbo,
}

/// What is made.
#[derive(Debug, Args)]
pub struct RandomModel {
    /// Whose shapes
    #[arg(long, value_enum)]
    shapes: Shapes,
    /// Folder with CLIP's vocab.json and merges.txt
    #[arg(long, value_name = "DIR")]
    tokenizer: PathBuf,
    /// With the full autoencoder, and not with the small one alone
    #[arg(long)]
    vae: bool,
    /// Kind for matrices and convolutions
    #[arg(long = "type", value_enum)]
    kind: Kind,
    /// The GGUF; its manifest is written beside it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl RandomModel {
    /// Draws the weights, tensor by tensor, and converts them.
    pub fn run(self) -> Result<()> {
        let files = self.files()?;
        let Self { shapes, kind, out, .. } = self;
        let name = format!(
            "random {}",
            shapes.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
        );
        Convert::gguf(&files, &name, kind, &out, DEFAULT_RANGE_SIZE)
    }

    fn files(&self) -> Result<ModelFiles> {
        let read = |name: &str| {
            let path = self.tokenizer.join(name);
            fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
        };
        let (unet, text, vae) = (configs::unet(self.shapes), configs::text(self.shapes), configs::vae());
        let tiny_config = TinyVaeConfig::taesd();
        let tiny = serde_json::to_string(&tiny_config)?;
        let (unet_config, text_config) = (serde_json::from_str(&unet)?, serde_json::from_str(&text)?);
        let vae_config = serde_json::from_str(&vae)?;
        let is_turbo = self.shapes == Shapes::SdTurbo;
        let full = part(|builder| Ok(AutoencoderKl::new(builder, &vae_config).map(drop)?));
        Ok(ModelFiles {
            unet: part(|builder| Ok(UNet2DConditionModel::new(builder, &unet_config).map(drop)?))?,
            text_encoder: part(|builder| Ok(ClipTextModel::new(builder, &text_config).map(drop)?))?,
            text_encoder_2: None,
            added_tokens: Vec::new(),
            vae: if self.vae { Some((vae, full?)) } else { None },
            tiny_vae: Some((tiny, part(|builder| Ok(AutoencoderTiny::new(builder, &tiny_config).map(drop)?))?)),
            unet_config: unet,
            text_config: text,
            scheduler_config: configs::scheduler(self.shapes),
            vocab: read("vocab.json")?,
            merges: read("merges.txt")?,
            pad_token: if is_turbo { "!" } else { "<|endoftext|>" }.to_owned(),
            card: ModelCard {
                native_size: Some((512, 512)),
                guidance: Some(if is_turbo { 1.0 } else { 7.5 }),
                steps: Some(if is_turbo { 1 } else { 20 }),
                ..ModelCard::default()
            },
        })
    }
}

/// A part with random weights for every parameter that its constructor asks for.
fn part(build: impl FnOnce(&Builder<'_>) -> Result<()>) -> Result<Component> {
    let root = BuilderRoot::outline(&Device::flex());
    build(&root.root(""))?;
    let outlined: Vec<Outlined> = root.outlined();
    Ok(Component { source: Rc::new(RandomSource::new(&outlined)), prefix: String::new() })
}
