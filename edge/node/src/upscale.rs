//! `darkroom upscale`.

use crate::{
    device::DeviceKind,
    init_image, inspect, interrupt, output,
    parse::{check_folder, png_path},
    progress,
};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use clap::Args;
use diffusion::{
    pipeline::GenerateError,
    upscale::{UpscaleError, UpscaleTiles, Upscaler},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A picture, and what enlarges it.
#[derive(Debug, Args)]
pub struct Upscale {
    /// Network: Real-ESRGAN's RRDBNet or SRVGGNetCompact, or ESRGAN, in safetensors
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Picture to enlarge: PNG, JPEG or WebP
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// The enlarged picture; the parameters of the old one are written into it
    #[arg(long, value_name = "FILE", value_parser = png_path)]
    out: PathBuf,
    /// Pixels along a side of the tiles that it is enlarged in; smaller ones take less memory
    #[arg(long, value_name = "PIXELS", default_value_t = UpscaleTiles::default().tile)]
    tile: usize,
    /// Pixels that two tiles have in common
    #[arg(long, value_name = "PIXELS", default_value_t = UpscaleTiles::default().overlap)]
    overlap: usize,
    /// Device to compute on
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    device: DeviceKind,
}

/// Puts the network of a file on a device.
pub fn load(path: &Path, device: &Device) -> Result<Upscaler> {
    let shown = path.display();
    let source = weights::open_path(path).with_context(|| format!("could not open the upscaler {shown}"))?;
    Upscaler::load(&*source, device, false).with_context(|| format!("could not load the upscaler {shown}"))
}

impl Upscale {
    /// Enlarges.
    pub fn run(self) -> Result<()> {
        check_folder(&self.out)?;
        let picture = init_image::picture(init_image::decode(&self.input)?.into_rgb8());
        let upscaler = load(&self.model, &self.device.open()?)?;
        let cancel = interrupt::token()?;
        let bar = progress::counting("upscaling", 1);
        let tiles = UpscaleTiles { tile: self.tile.min(1 << 14), overlap: self.overlap.min(1 << 14) };
        let made = pollster::block_on(upscaler.upscale(&picture, tiles, |done, of| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            !cancel.is_cancelled()
        }));
        bar.finish_and_clear();
        let made = made.map_err(|error| match error {
            UpscaleError::Cancelled => GenerateError::Cancelled.into(),
            error => anyhow::Error::from(error),
        })?;
        let name = self.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let old = inspect::parameters(&self.input).ok().flatten();
        let ours = format!("Postprocess upscale by: {}, Postprocess upscaler: {name}", upscaler.scale());
        let parameters = old.map_or_else(|| ours.clone(), |old| format!("{old}, {ours}"));
        fs::write(&self.out, made.to_png(&parameters)?)
            .with_context(|| format!("could not write {}", self.out.display()))?;
        output::print(&format!("{} ({} x {})\n", self.out.display(), made.width, made.height))
    }
}
