//! `--hires-scale`, `--vae-tiling` and what belongs to them.

use super::recipe::{Recipe, file_pairs, stem};
use crate::{
    parse::{number, whole},
    upscale,
};
use anyhow::{Context as _, Result, ensure};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    metadata::quoted,
    pipeline::{Hires, HiresUpscale},
    resample::Filter,
    upscale::UpscaleTiles,
    vae::{TilingMode, VaeTiling},
};
use spec::{ImageSize, Steps, Strength};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A second pass over larger pictures.
#[derive(Debug, Args)]
pub struct HiresArgs {
    /// Draw once more, so many times larger, from what was drawn first: 1 to 8
    #[arg(long, value_name = "FACTOR", value_parser = factor, allow_negative_numbers = true, conflicts_with = "init_image")]
    hires_scale: Option<f64>,
    /// How much is drawn anew in the second pass, 0 to 1 [default: 0.7]
    #[arg(long, value_parser = number::<Strength>, allow_negative_numbers = true)]
    hires_strength: Option<Strength>,
    /// Steps of the second pass, of which that share is taken [default: --steps]
    #[arg(long, value_parser = whole::<Steps>, allow_negative_numbers = true)]
    hires_steps: Option<Steps>,
    /// What enlarges: latent, latent-antialiased, latent-bicubic, latent-bicubic-antialiased, latent-nearest,
    /// latent-nearest-exact, lanczos, or the file of an upscaler [default: latent]
    #[arg(long, value_name = "NAME_OR_FILE")]
    hires_upscaler: Option<String>,
    /// Encode and decode large pictures in tiles: auto does where a picture would take more than 2 GiB [default: auto]
    #[arg(long, value_enum)]
    vae_tiling: Option<Tiling>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tiling {
    Auto,
    On,
    Off,
}

const SCALE: &str = "Hires upscale";
const UPSCALER: &str = "Hires upscaler";
const UPSCALER_HASH: &str = "Hires upscaler SHA-256";
const STEPS: &str = "Hires steps";
const VAE_TILING: &str = "VAE tiling";
/// Our names of what enlarges without a network, and web UIs'.
const UPSCALERS: [(&str, &str); 7] = [
    ("latent", "Latent"),
    ("latent-antialiased", "Latent (antialiased)"),
    ("latent-bicubic", "Latent (bicubic)"),
    ("latent-bicubic-antialiased", "Latent (bicubic antialiased)"),
    ("latent-nearest", "Latent (nearest)"),
    ("latent-nearest-exact", "Latent (nearest-exact)"),
    ("lanczos", "Lanczos"),
];

fn factor(text: &str) -> Result<f64> {
    let factor: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    anyhow::ensure!((1.0..=8.0).contains(&factor), "the scale is {factor}, but must be between 1 and 8");
    Ok(factor)
}

impl HiresArgs {
    /// Fills what no flag said by what a picture says.
    pub fn restore(&mut self, recipe: &Recipe, has_init: bool) -> Result<()> {
        recipe.restore(&mut self.vae_tiling, VAE_TILING, |text| {
            Tiling::from_str(text, true).map_err(anyhow::Error::msg)
        })?;
        if has_init || (self.hires_scale.is_none() && recipe.look(SCALE).is_none()) {
            return Ok(());
        }
        recipe.restore(&mut self.hires_scale, SCALE, factor)?;
        recipe.restore(&mut self.hires_steps, STEPS, whole::<Steps>)?;
        self.hires_strength = self.hires_strength.or(recipe.strength()?);
        let named = recipe.look(UPSCALER).and_then(|said| UPSCALERS.iter().find(|(_, label)| *label == said));
        if let Some((own, _)) = named {
            return recipe.restore(&mut self.hires_upscaler, UPSCALER, |_| Ok((*own).to_owned()));
        }
        let mut file = self.hires_upscaler.take().map(PathBuf::from);
        recipe.file(&mut file, UPSCALER, UPSCALER_HASH, "--hires-upscaler")?;
        self.hires_upscaler = file.map(|file| file.display().to_string());
        Ok(())
    }

    /// Whether there is a second pass.
    pub const fn is_on(&self) -> bool {
        self.hires_scale.is_some()
    }

    /// Refuses what belongs to a second pass where there is none.
    pub fn check(&self) -> Result<()> {
        let is_told = self.hires_strength.is_some() || self.hires_steps.is_some() || self.hires_upscaler.is_some();
        ensure!(
            self.is_on() || !is_told,
            "--hires-strength, --hires-steps and --hires-upscaler need --hires-scale, or a --from with one"
        );
        Ok(())
    }

    fn upscaler(&self) -> &str {
        self.hires_upscaler.as_deref().unwrap_or("latent")
    }

    fn strength(&self) -> Strength {
        self.hires_strength.unwrap_or(Strength::new(0.7).expect("it is between 0 and 1"))
    }

    /// The second pass, where there is to be one; `multiple` is what the model's sides must be divisible by.
    pub fn hires(&self, size: ImageSize, multiple: u32, device: &Device) -> Result<Option<Hires>> {
        let Some(scale) = self.hires_scale else { return Ok(None) };
        let upscale = match self.upscaler() {
            "latent" => HiresUpscale::Latents(Filter::Bilinear),
            "latent-antialiased" => HiresUpscale::Latents(Filter::BilinearAntialiased),
            "latent-bicubic" => HiresUpscale::Latents(Filter::Bicubic),
            "latent-bicubic-antialiased" => HiresUpscale::Latents(Filter::BicubicAntialiased),
            "latent-nearest" => HiresUpscale::Latents(Filter::Nearest),
            "latent-nearest-exact" => HiresUpscale::Latents(Filter::NearestExact),
            "lanczos" => HiresUpscale::Pictures(Filter::Lanczos),
            file => {
                let network = upscale::load(Path::new(file), device)?;
                HiresUpscale::Network(Arc::new(network), UpscaleTiles::default())
            }
        };
        let size = Hires::scaled(size, scale, multiple)?;
        Ok(Some(Hires { size, steps: self.hires_steps, strength: self.strength(), upscale, noise: None }))
    }

    /// What web UIs write of a second pass.
    pub fn infotext(&self) -> Result<Vec<String>> {
        let tiling =
            self.vae_tiling.filter(|tiling| *tiling != Tiling::Auto).and_then(|tiling| tiling.to_possible_value());
        let mut pairs: Vec<_> = tiling.iter().map(|value| format!("{VAE_TILING}: {}", value.get_name())).collect();
        let Some(scale) = self.hires_scale else { return Ok(pairs) };
        pairs.push(format!("Denoising strength: {}", self.strength().get()));
        pairs.push(format!("{SCALE}: {scale}"));
        let file = Path::new(self.upscaler());
        let label = UPSCALERS.iter().find(|(own, _)| *own == self.upscaler()).map(|(_, label)| *label);
        pairs.push(format!("{UPSCALER}: {}", label.map_or_else(|| quoted(&stem(file)), str::to_owned)));
        pairs.extend(self.hires_steps.map(|steps| format!("{STEPS}: {}", steps.get())));
        if label.is_none() {
            pairs.extend(file_pairs(UPSCALER, file)?.pop());
        }
        Ok(pairs)
    }

    /// When pictures go through the autoencoder in tiles.
    pub fn tiling(&self) -> TilingMode {
        match self.vae_tiling.unwrap_or(Tiling::Auto) {
            Tiling::Auto => TilingMode::Auto,
            Tiling::On => TilingMode::On(VaeTiling::default()),
            Tiling::Off => TilingMode::Off,
        }
    }
}
