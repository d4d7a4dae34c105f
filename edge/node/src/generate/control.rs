//! `--control-net` and what belongs to it.

use super::{
    control_unit::{Preparation, Unit},
    finder::Wanted,
    inpaint::Prepared,
    recipe::{Recipe, file_pairs, stem},
};
use crate::{digest, init_image};
use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::{Device, ExecutionError};
use clap::Args;
use diffusion::{
    controlnet::ControlNetFiles,
    metadata::quoted,
    picture::Picture,
    pipeline::Control,
    preprocess::{Depth, LineArt},
};
use spec::ImageSize;
use std::{
    fs,
    path::{Path, PathBuf},
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
    #[arg(long = "control-image", value_name = "FILE")]
    control_images: Vec<PathBuf>,
    /// What is made of the picture: none, canny[:LOW:HIGH], invert, scribble, tile[:FACTOR],
    /// line-art or depth [default: none]
    #[arg(long = "control-preprocessor", value_name = "NAME")]
    control_preprocessors: Vec<Preparation>,
    /// How strongly it steers [default: 1]
    #[arg(long = "control-weight", allow_negative_numbers = true)]
    control_weights: Vec<f64>,
    /// Share of the steps after which it begins, 0 to 1 [default: 0]
    #[arg(long = "control-start", value_parser = share, allow_negative_numbers = true)]
    control_starts: Vec<f64>,
    /// Share of the steps after which it ends, 0 to 1 [default: 1]
    #[arg(long = "control-end", value_parser = share, allow_negative_numbers = true)]
    control_ends: Vec<f64>,
    /// Let the networks guess what the picture shows, without a prompt
    #[arg(long)]
    guess_mode: bool,
    /// Network that draws pictures in lines, for the preprocessor line-art
    #[arg(long, value_name = "FILE")]
    line_art_network: Option<PathBuf>,
    /// Depth Anything in transformers' folder layout, for the preprocessor depth
    #[arg(long, value_name = "DIR")]
    depth_network: Option<PathBuf>,
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

/// The picture of network `index`, and what makes it out of another.
const IMAGE: &str = "Control image";
const LINE_ART: &str = "Line art network";
const DEPTH: &str = "Depth network";
/// Digits of a network's hash that web UIs write.
const DIGITS: usize = 8;

fn image_key(index: usize) -> String {
    format!("{IMAGE} {index}")
}

/// Gives a flag that was not given the values of all networks.
fn fill<T>(flag: &mut Vec<T>, units: &[Unit], of: impl FnMut(&Unit) -> T) {
    if flag.is_empty() {
        flag.extend(units.iter().map(of));
    }
}

impl ControlArgs {
    /// Fills what no flag said by what a picture says of its networks; those of other programs' pictures are followed where the
    /// pictures that they steer by are given.
    pub fn restore(&mut self, recipe: &Recipe) -> Result<()> {
        let said = (0..).map_while(|index| recipe.look(&format!("ControlNet {index}")));
        let units = said.map(str::parse).collect::<Result<Vec<Unit>>>()?;
        let has_pictures = recipe.look(&image_key(0)).is_some() || self.control_images.len() == units.len();
        if units.is_empty() || !self.control_nets.is_empty() || !has_pictures {
            return Ok(());
        }
        let are_given = !self.control_images.is_empty();
        for (index, unit) in units.iter().enumerate() {
            recipe.take(&format!("ControlNet {index}"));
            // Others' hashes are of a part of the file.
            let hash = unit.hash.as_deref().filter(|_| recipe.is_ours());
            let wanted = Wanted { what: "ControlNet", name: &unit.model, hash, flag: "--control-net" };
            self.control_nets.push(recipe.find(&wanted, digest::of_path)?);
            let mut image = are_given.then(|| self.control_images[index].clone());
            let (key, hash) = (image_key(index), format!("{} SHA-256", image_key(index)));
            recipe.file(&mut image, &key, &hash, "--control-image")?;
            if let (Some(image), false) = (image, are_given) {
                self.control_images.push(image);
            }
        }
        fill(&mut self.control_preprocessors, &units, |unit| unit.preparation);
        fill(&mut self.control_weights, &units, |unit| unit.weight);
        fill(&mut self.control_starts, &units, |unit| unit.start);
        fill(&mut self.control_ends, &units, |unit| unit.end);
        self.guess_mode |= units.iter().any(|unit| unit.guesses);
        recipe.file(&mut self.line_art_network, LINE_ART, "Line art network SHA-256", "--line-art-network")?;
        recipe.file(&mut self.depth_network, DEPTH, "Depth network SHA-256", "--depth-network")
    }

    /// Loads the networks and prepares their pictures, of which a part is taken where only a part is drawn.
    pub fn load(&self, size: ImageSize, prepared: Option<&Prepared>, device: &Device) -> Result<Vec<Control>> {
        let count = self.control_nets.len();
        ensure!(
            self.control_images.len() == count,
            "there are {count} --control-net and {} --control-image; every network needs its picture",
            self.control_images.len()
        );
        let is_told = self.guess_mode
            || !self.control_preprocessors.is_empty()
            || ![&self.control_weights, &self.control_starts, &self.control_ends].iter().all(|told| told.is_empty());
        ensure!(count > 0 || !is_told, "--control-… and --guess-mode need --control-net, or a --from with one");
        (0..count).map(|index| self.control(index, size, prepared, device)).collect()
    }

    /// What is asked of a network.
    fn unit(&self, index: usize) -> Result<Unit> {
        let (path, count) = (&self.control_nets[index], self.control_nets.len());
        Ok(Unit {
            preparation: value("control-preprocessor", &self.control_preprocessors, index, count, Preparation::NONE)?,
            model: stem(path),
            hash: None,
            weight: value("control-weight", &self.control_weights, index, count, 1.0)?,
            start: value("control-start", &self.control_starts, index, count, 0.0)?,
            end: value("control-end", &self.control_ends, index, count, 1.0)?,
            guesses: self.guess_mode,
        })
    }

    /// What web UIs write of the networks, and what it takes to have their pictures again.
    pub fn infotext(&self) -> Result<Vec<String>> {
        let mut pairs = Vec::new();
        for (index, (path, image)) in self.control_nets.iter().zip(&self.control_images).enumerate() {
            let mut hash = digest::of_path(path)?;
            hash.truncate(DIGITS);
            let unit = Unit { hash: Some(hash), ..self.unit(index)? };
            pairs.push(format!("ControlNet {index}: {}", quoted(&unit.to_string())));
            pairs.extend(file_pairs(&image_key(index), image)?);
        }
        let has = |preparation| self.control_preprocessors.contains(&preparation);
        for (key, network, is_used) in [
            (LINE_ART, &self.line_art_network, has(Preparation::LineArt)),
            (DEPTH, &self.depth_network, has(Preparation::Depth)),
        ] {
            let network = network.as_ref().filter(|_| is_used && !self.control_nets.is_empty());
            pairs.extend(network.map(|network| file_pairs(key, network)).transpose()?.unwrap_or_default());
        }
        Ok(pairs)
    }

    fn control(&self, index: usize, size: ImageSize, prepared: Option<&Prepared>, device: &Device) -> Result<Control> {
        let Unit { preparation, weight, start, end, guesses, .. } = self.unit(index)?;
        ensure!(weight.is_finite(), "--control-weight is {weight}, but must be a number");
        let picture = init_image::decode(&self.control_images[index])?;
        let part = prepared.and_then(|prepared| prepared.steering(&picture));
        let picture = part.unwrap_or_else(|| init_image::filling(&picture, size));
        let picture = self.prepared(&picture, preparation, device)?;
        let path = &self.control_nets[index];
        let shown = path.display();
        let files = ControlNetFiles::open(path).with_context(|| format!("could not open the ControlNet {shown}"))?;
        let model = files.load(device, false).with_context(|| format!("could not load the ControlNet {shown}"))?;
        let picture = (picture.to_tensor(device) + 1.0) / 2.0;
        Ok(Control { weight, start, end, guess_mode: guesses, ..Control::new(Arc::new(model), picture) })
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
    }
}
