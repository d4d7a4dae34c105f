//! `--hires-scale`, `--vae-tiling` and what belongs to them.

use crate::{
    parse::{number, whole},
    upscale,
};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use diffusion::{
    pipeline::{Hires, HiresUpscale},
    resample::Filter,
    upscale::UpscaleTiles,
    vae::{TilingMode, VaeTiling},
};
use spec::{ImageSize, Steps, Strength};
use std::{path::Path, sync::Arc};

/// A second pass over larger pictures.
#[derive(Debug, Args)]
pub struct HiresArgs {
    /// Draw once more, so many times larger, from what was drawn first: 1 to 8
    #[arg(long, value_name = "FACTOR", value_parser = factor, allow_negative_numbers = true, conflicts_with = "init_image")]
    hires_scale: Option<f64>,
    /// How much is drawn anew in the second pass, 0 to 1
    #[arg(long, value_parser = number::<Strength>, allow_negative_numbers = true, default_value = "0.7", requires = "hires_scale")]
    hires_strength: Strength,
    /// Steps of the second pass, of which that share is taken [default: --steps]
    #[arg(long, value_parser = whole::<Steps>, allow_negative_numbers = true, requires = "hires_scale")]
    hires_steps: Option<Steps>,
    /// What enlarges: latent, latent-antialiased, latent-bicubic, latent-bicubic-antialiased, latent-nearest,
    /// latent-nearest-exact, lanczos, or the file of an upscaler
    #[arg(long, value_name = "NAME_OR_FILE", default_value = "latent", requires = "hires_scale")]
    hires_upscaler: String,
    /// Encode and decode large pictures in tiles: auto does where a picture would take more than 2 GiB
    #[arg(long, value_enum, default_value_t = Tiling::Auto)]
    vae_tiling: Tiling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tiling {
    Auto,
    On,
    Off,
}

fn factor(text: &str) -> Result<f64> {
    let factor: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    anyhow::ensure!((1.0..=8.0).contains(&factor), "the scale is {factor}, but must be between 1 and 8");
    Ok(factor)
}

impl HiresArgs {
    /// The second pass, where there is to be one; `multiple` is what the model's sides must be divisible by.
    pub fn hires(&self, size: ImageSize, multiple: u32, device: &Device) -> Result<Option<Hires>> {
        let Some(scale) = self.hires_scale else { return Ok(None) };
        let upscale = match self.hires_upscaler.as_str() {
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
        Ok(Some(Hires { size, steps: self.hires_steps, strength: self.hires_strength, upscale, noise: None }))
    }

    /// What web UIs write of a second pass.
    pub fn infotext(&self) -> Vec<String> {
        let Some(scale) = self.hires_scale else { return Vec::new() };
        let name = match self.hires_upscaler.as_str() {
            "lanczos" => "Lanczos".to_owned(),
            "latent" => "Latent".to_owned(),
            name => match name.strip_prefix("latent-") {
                // Two words are three, but for one that is written with a hyphen.
                Some("nearest-exact") => "Latent (nearest-exact)".to_owned(),
                Some(kind) => format!("Latent ({})", kind.replace('-', " ")),
                None => Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            },
        };
        let steps = self.hires_steps.map(|steps| format!("Hires steps: {}", steps.get()));
        let strength = format!("Denoising strength: {}", self.hires_strength.get());
        let pairs = [format!("Hires upscale: {scale}"), format!("Hires upscaler: {name}")];
        std::iter::once(strength).chain(pairs).chain(steps).collect()
    }

    /// When pictures go through the autoencoder in tiles.
    pub fn tiling(&self) -> TilingMode {
        match self.vae_tiling {
            Tiling::Auto => TilingMode::Auto,
            Tiling::On => TilingMode::On(VaeTiling::default()),
            Tiling::Off => TilingMode::Off,
        }
    }
}
