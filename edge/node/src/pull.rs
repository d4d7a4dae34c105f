//! `darkroom pull` and `darkroom models`.

mod cache;
mod choose;
mod download;
mod hub;

pub use cache::Cache;

use crate::{
    convert::{Convert, Kind},
    family::{Conditioning, Family},
    model, output,
};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use diffusion::checkpoint::Contents;
use download::Source;
use hub::Hub;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use std::{fmt::Write as _, fs};
use weights::DEFAULT_RANGE_SIZE;

const HUB: &str = "https://huggingface.co";

/// What to fetch.
#[derive(Args)]
pub struct Pull {
    /// The repository, ORG/NAME
    #[arg(value_name = "ORG/NAME")]
    name: String,
    /// Take this variant of the weights where there is one, such as fp16
    #[arg(long)]
    variant: Option<String>,
    /// The one file to take, where a repository has several models
    #[arg(long)]
    file: Option<String>,
    /// Branch, tag or commit
    #[arg(long, default_value = "main")]
    revision: String,
    /// Store it as a GGUF of this kind, called ORG/NAME-KIND, and not as it is
    #[arg(long, value_enum)]
    quantise: Option<Kind>,
    /// The server
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT", default_value = HUB)]
    endpoint: String,
    /// What private models are asked for with; sent to this server alone
    #[arg(long, env = "HF_TOKEN", hide_env_values = true, hide = true)]
    token: Option<String>,
}

impl std::fmt::Debug for Pull {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull").field("name", &self.name).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Pull {
    /// Fetches, checks, and says where it is.
    pub fn run(self) -> Result<()> {
        let cache = Cache::of_user()?;
        let folder = cache.folder(&self.name)?;
        let hub = Hub::new(&self.endpoint, self.token.as_deref())?;
        if cache.find(&self.name).is_none() {
            Cache::begin(&folder)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.fetch(&hub, &folder))?;
        if folder.join(".incomplete").exists() {
            Cache::finish(&folder)?;
        }
        let path = cache.find(&self.name).context("the model that was just pulled is gone")?;
        let Some(kind) = self.quantise else {
            return output::print(&format!("{}\n", path.display()));
        };
        let name = format!("{}-{}", self.name, kind.word());
        let quantised = cache.folder(&name)?;
        Cache::begin(&quantised)?;
        let file = name.rsplit('/').next().unwrap_or_default();
        let out = quantised.join(format!("{file}.gguf"));
        Convert::gguf(&model::open(&path)?, &name, kind, &out, DEFAULT_RANGE_SIZE)?;
        Cache::finish(&quantised)?;
        cache.remove(&self.name)?;
        output::print(&format!("{}\n", out.display()))
    }

    async fn fetch(&self, hub: &Hub, folder: &std::path::Path) -> Result<()> {
        let all = hub.files(&self.name, &self.revision).await?;
        let files = choose::choose(all, self.variant.as_deref(), self.file.as_deref())?;
        let bar = ProgressBar::new(files.iter().map(|file| file.size).sum());
        let style = "{msg:40!} {bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template above is well-formed"));
        let source = Source { hub, repository: &self.name, revision: &self.revision };
        for file in &files {
            bar.set_message(file.path.clone());
            source.fetch(file, &folder.join(&file.path), &bar).await?;
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// What was pulled.
#[derive(Debug, Args)]
pub struct Models {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Take a model away
    Remove {
        /// The repository, ORG/NAME
        name: String,
    },
}

impl Models {
    /// Lists, or removes.
    pub fn run(self) -> Result<()> {
        let cache = Cache::of_user()?;
        if let Some(ModelsCommand::Remove { name }) = self.command {
            let bytes = cache.remove(&name)?;
            return output::print(&format!("removed {name}, {}\n", DecimalBytes(bytes)));
        }
        let models = cache.list()?;
        let described = models.iter().map(|model| (model, family(model))).collect::<Vec<_>>();
        if self.json {
            let models = described.iter().map(|(model, family)| {
                json!({
                    "name": model.name, "path": model.path, "bytes": model.bytes, "family": family,
                    "complete": model.is_complete,
                })
            });
            return output::print_json(&json!({ "models": models.collect::<Vec<_>>() }));
        }
        let mut text = String::new();
        for (model, family) in &described {
            let size = DecimalBytes(model.bytes).to_string();
            writeln!(text, "{:40} {size:>10}  {family}", model.name)?;
        }
        output::print(&text)
    }
}

fn family(model: &cache::Cached) -> String {
    if !model.is_complete {
        return "incomplete; pull it again to go on".to_owned();
    }
    let config = fs::read_to_string(model.path.join("unet/config.json")).ok();
    let of_config = |config: &str| Family::of(Conditioning::of_config(config), None);
    match config.as_deref().map(of_config) {
        Some(family) if family != Family::Unknown => return family.as_str().to_owned(),
        _ => {}
    }
    let weights = ["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"];
    let unet = weights.map(|file| model.path.join(file)).into_iter().find(|path| path.is_file());
    match weights::open_path(&unet.unwrap_or_else(|| model.path.clone())) {
        Ok(file) => {
            let contents = Contents::of(file.tensors());
            contents.denoiser().map_or_else(|| contents.to_string(), |kind| kind.generation.to_string())
        }
        Err(error) => format!("unreadable: {error}"),
    }
}
