//! `--control-net` and what belongs to it.

use crate::init_image;
use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::{Device, ExecutionError};
use clap::Args;
use diffusion::{
    controlnet::ControlNetFiles,
    picture::Picture,
    pipeline::Control,
    preprocess::{Depth, LineArt, Preprocessor},
};
use spec::ImageSize;
use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};
use weights::TensorSource;

/// Networks that steer by pictures; the flags repeat, one for each network, in the same order.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// ControlNet to steer by: a folder in diffusers' layout, or one file; may be given several times
    #[arg(long = "control-net", value_name = "DIR_OR_FILE")]
    control_nets: Vec<PathBuf>,
    /// Picture that it steers by: PNG, JPEG or WebP; once for each network
    #[arg(long = "control-image", value_name = "FILE", requires = "control_nets")]
    control_images: Vec<PathBuf>,
    /// What is made of the picture: none, canny[:LOW:HIGH], invert, scribble, tile[:FACTOR],
    /// line-art or depth [default: none]
    #[arg(long = "control-preprocessor", value_name = "NAME", requires = "control_nets")]
    control_preprocessors: Vec<Preparation>,
    /// How strongly it steers [default: 1]
    #[arg(long = "control-weight", requires = "control_nets", allow_negative_numbers = true)]
    control_weights: Vec<f64>,
    /// Share of the steps after which it begins, 0 to 1 [default: 0]
    #[arg(long = "control-start", value_parser = share, requires = "control_nets", allow_negative_numbers = true)]
    control_starts: Vec<f64>,
    /// Share of the steps after which it ends, 0 to 1 [default: 1]
    #[arg(long = "control-end", value_parser = share, requires = "control_nets", allow_negative_numbers = true)]
    control_ends: Vec<f64>,
    /// Let the networks guess what the picture shows, without a prompt
    #[arg(long, requires = "control_nets")]
    guess_mode: bool,
    /// Network that draws pictures in lines, for the preprocessor line-art
    #[arg(long, value_name = "FILE")]
    line_art_network: Option<PathBuf>,
    /// Depth Anything in transformers' folder layout, for the preprocessor depth
    #[arg(long, value_name = "DIR")]
    depth_network: Option<PathBuf>,
}

/// What is made of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Preparation {
    Plain(Preprocessor),
    LineArt,
    Depth,
}

impl FromStr for Preparation {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "line-art" => Ok(Self::LineArt),
            "depth" => Ok(Self::Depth),
            _ => Ok(Self::Plain(text.parse()?)),
        }
    }
}

fn share(text: &str) -> Result<f64> {
    let share: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    ensure!((0.0..=1.0).contains(&share), "{share} is no share of the steps; it must be between 0 and 1");
    Ok(share)
}

/// The value for network `index` of `count`: the one that was given for it, the only one, or the usual one.
fn value<T: Clone>(flag: &str, values: &[T], index: usize, count: usize, usual: T) -> Result<T> {
    match values {
        [] => Ok(usual),
        [only] => Ok(only.clone()),
        _ if values.len() == count => Ok(values[index].clone()),
        _ => bail!("--{flag} is given {} times for {count} networks; give it once, or once for each", values.len()),
    }
}

impl ControlArgs {
    /// Loads the networks and prepares their pictures.
    pub fn load(&self, size: ImageSize, device: &Device) -> Result<Vec<Control>> {
        let count = self.control_nets.len();
        ensure!(
            self.control_images.len() == count,
            "there are {count} --control-net and {} --control-image; every network needs its picture",
            self.control_images.len()
        );
        self.control_nets.iter().enumerate().map(|(index, path)| self.control(index, path, size, device)).collect()
    }

    /// What web UIs write of the networks.
    pub fn infotext(&self) -> Result<Vec<String>> {
        let count = self.control_nets.len();
        let pair = |(index, path): (usize, &PathBuf)| {
            let none = Preparation::Plain(Preprocessor::None);
            let module = match value("control-preprocessor", &self.control_preprocessors, index, count, none)? {
                Preparation::Plain(Preprocessor::None) => "none",
                Preparation::Plain(Preprocessor::Canny { .. }) => "canny",
                Preparation::Plain(Preprocessor::Invert) => "invert",
                Preparation::Plain(Preprocessor::Scribble) => "scribble",
                Preparation::Plain(Preprocessor::Tile { .. }) => "tile",
                Preparation::LineArt => "line-art",
                Preparation::Depth => "depth",
            };
            let weight = value("control-weight", &self.control_weights, index, count, 1.0)?;
            let start = value("control-start", &self.control_starts, index, count, 0.0)?;
            let end = value("control-end", &self.control_ends, index, count, 1.0)?;
            // A quote in a file's name would end the value.
            let model = path.file_stem().unwrap_or_default().to_string_lossy().replace('"', "'");
            let guess = if self.guess_mode { ", Guess Mode: True" } else { "" };
            Ok(format!(
                "ControlNet {index}: \"Module: {module}, Model: {model}, Weight: {weight}, Guidance Start: {start}, \
                 Guidance End: {end}{guess}\""
            ))
        };
        self.control_nets.iter().enumerate().map(pair).collect()
    }

    fn control(&self, index: usize, path: &Path, size: ImageSize, device: &Device) -> Result<Control> {
        let count = self.control_nets.len();
        let none = Preparation::Plain(Preprocessor::None);
        let preparation = value("control-preprocessor", &self.control_preprocessors, index, count, none)?;
        let weight = value("control-weight", &self.control_weights, index, count, 1.0)?;
        ensure!(weight.is_finite(), "--control-weight is {weight}, but must be a number");
        let picture = init_image::covering(&self.control_images[index], size)?;
        let picture = self.prepared(&picture, preparation, device)?;
        let shown = path.display();
        let files = ControlNetFiles::open(path).with_context(|| format!("could not open the ControlNet {shown}"))?;
        let model = files.load(device, false).with_context(|| format!("could not load the ControlNet {shown}"))?;
        let picture = (picture.to_tensor(device) + 1.0) / 2.0;
        Ok(Control {
            weight,
            start: value("control-start", &self.control_starts, index, count, 0.0)?,
            end: value("control-end", &self.control_ends, index, count, 1.0)?,
            guess_mode: self.guess_mode,
            ..Control::new(Arc::new(model), picture)
        })
    }

    fn prepared(&self, picture: &Picture, preparation: Preparation, device: &Device) -> Result<Picture> {
        match preparation {
            Preparation::Plain(preprocessor) => Ok(preprocessor.prepare(picture)),
            Preparation::LineArt => {
                let path = self.line_art_network.as_deref().context("line-art needs --line-art-network FILE")?;
                let network = LineArt::load(&*open(path)?, device);
                let network = network.with_context(|| format!("could not load {}", path.display()))?;
                pollster::block_on(network.draw(picture)).map_err(failed)
            }
            Preparation::Depth => {
                let folder = self.depth_network.as_deref().context("depth needs --depth-network DIR")?;
                let config = folder.join("config.json");
                let config =
                    fs::read_to_string(&config).with_context(|| format!("could not read {}", config.display()))?;
                let network = Depth::load(&*open(&folder.join("model.safetensors"))?, &config, device);
                let network = network.with_context(|| format!("could not load {}", folder.display()))?;
                pollster::block_on(network.estimate(picture)).map_err(failed)
            }
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn TensorSource>> {
    weights::open_path(path).with_context(|| format!("could not open {}", path.display()))
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn failed(error: ExecutionError) -> anyhow::Error {
    anyhow::anyhow!("the device failed: {error:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_given_never_once_or_for_each() {
        assert_eq!(value("x", &[], 1, 2, 7).unwrap(), 7);
        assert_eq!(value("x", &[3], 1, 2, 7).unwrap(), 3);
        assert_eq!(value("x", &[3, 4], 1, 2, 7).unwrap(), 4);
        assert!(value("x", &[3, 4], 1, 3, 7).unwrap_err().to_string().contains("2 times for 3 networks"));
        assert!(share("1.5").is_err() && share("nan").is_err() && share("0.5").is_ok());
        assert_eq!("depth".parse::<Preparation>().unwrap(), Preparation::Depth);
    }
}
