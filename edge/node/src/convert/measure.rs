//! A whole run with the original and with what became of it.

use crate::{
    device::DeviceKind,
    interrupt,
    model::{self, ModelArgs},
    parse::whole,
    progress::Bar,
};
use anyhow::{Result, ensure};
use burn::tensor::Tensor;
use clap::Args;
use diffusion::pipeline::{GenerateError, ModelFiles, PipelineRequest};
use serde_json::{Value, json};
use spec::{BatchSize, ClipSkip, GenerateSpec, GuidanceRescale, ImageSize, NoiseKind, Seed, Steps};
use std::{fmt, path::Path};

const PROMPT: &str = "a photograph of an astronaut riding a horse";
const SIDE: u32 = 512;

/// How the result is measured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Measuring")]
pub struct MeasureArgs {
    /// Draw with the original and with the result, and say how far apart they are
    #[arg(long)]
    measure: bool,
    /// What is drawn [default: what the model's card has, else an astronaut]
    #[arg(long, value_name = "TEXT", requires = "measure")]
    measure_prompt: Option<String>,
    /// Denoising steps [default: what the model's card has, else 20]
    #[arg(long, value_name = "STEPS", value_parser = whole::<Steps>, requires = "measure")]
    measure_steps: Option<Steps>,
    /// Pixels along a side [default: what the model's card has, else 512]
    #[arg(long, value_name = "PIXELS", requires = "measure")]
    measure_size: Option<u32>,
    /// Where the noise comes from
    #[arg(long, value_name = "SEED", requires = "measure", default_value_t = 0)]
    measure_seed: u64,
    /// Device to draw on
    #[arg(long, value_enum, requires = "measure", default_value_t = DeviceKind::Cpu)]
    measure_device: DeviceKind,
}

/// How far apart two runs are.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Of the final latents.
    pub cosine: f64,
    /// `|difference| / |original|` of the final latents.
    pub relative_error: f64,
    /// Of the pictures, in dB; infinite for equal ones.
    pub psnr: f64,
    prompt: String,
    steps: u32,
    size: (u32, u32),
    seed: u64,
}

impl Measured {
    /// For `--report`; equal pictures have no ratio.
    pub fn json(&self) -> Value {
        let Self { cosine, relative_error, psnr, prompt, steps, size: (width, height), seed } = self;
        json!({
            "latent_cosine": cosine, "latent_relative_error": relative_error, "psnr_db": psnr, "prompt": prompt,
            "steps": steps, "width": width, "height": height, "seed": seed,
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cosine, psnr, steps, size: (width, height), seed, .. } = self;
        write!(f, "cosine of the latents {cosine:.6}, PSNR {psnr:.1} dB ({steps} steps, {width}x{height}, seed {seed})")
    }
}

/// What comes out of a run.
struct Drawn {
    latents: Vec<f32>,
    image: Vec<f32>,
}

impl MeasureArgs {
    /// Draws with one model after the other, so that never both are in memory; nothing where it was not asked for.
    pub fn run(&self, original: (&ModelArgs, &Path), result: &Path) -> Result<Option<Measured>> {
        if !self.measure {
            return Ok(None);
        }
        let (arguments, path) = original;
        let files = arguments.open(path)?;
        let spec = self.spec(&files)?;
        let before = self.draw(&files, path, &spec)?;
        drop(files);
        // A denoiser alone takes the rest from the original.
        let files = arguments.clone().with_base(path).open(result)?;
        let after = self.draw(&files, result, &spec)?;
        let moved = weights::relative_error(&before.latents, &after.latents);
        Ok(Some(Measured {
            cosine: cosine(&before.latents, &after.latents),
            relative_error: moved,
            psnr: psnr(&before.image, &after.image),
            steps: spec.steps.get(),
            size: (spec.size.width(), spec.size.height()),
            seed: spec.seed.0,
            prompt: spec.prompt,
        }))
    }

    fn spec(&self, files: &ModelFiles) -> Result<GenerateSpec> {
        let card = &files.card;
        let (width, height) = self.measure_size.map(|side| (side, side)).or(card.native_size).unwrap_or((SIDE, SIDE));
        let prompt = self.measure_prompt.clone().or_else(|| card.examples.first().cloned());
        let steps = card.steps.map(Steps::new).transpose()?;
        let guidance = card.guidance.map(spec::Guidance::new).transpose()?;
        Ok(GenerateSpec {
            prompt: prompt.unwrap_or_else(|| PROMPT.to_owned()),
            negative_prompt: String::new(),
            steps: self.measure_steps.or(steps).unwrap_or_default(),
            guidance: guidance.unwrap_or_default(),
            guidance_rescale: GuidanceRescale::default(),
            scheduler: None,
            seed: Seed(self.measure_seed),
            noise: NoiseKind::Philox,
            size: ImageSize::new(width, height)?,
            clip_skip: ClipSkip::default(),
            batch: BatchSize::default(),
            init: None,
        })
    }

    fn draw(&self, files: &ModelFiles, path: &Path, spec: &GenerateSpec) -> Result<Drawn> {
        let device = self.measure_device.open()?;
        let pipeline = model::load(files, path, &device)?;
        let mut bar = Bar::new();
        let request = PipelineRequest::from_spec(spec, None);
        let made = pollster::block_on(pipeline.generate(request, &mut bar, &interrupt::token()?));
        bar.clear();
        let made = made?;
        Ok(Drawn { latents: values(made.latents)?, image: values(made.image)? })
    }
}

fn values(tensor: Tensor<4>) -> Result<Vec<f32>> {
    let data = pollster::block_on(tensor.into_data_async()).map_err(GenerateError::from)?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    ensure!(values.iter().all(|value| value.is_finite()), "a run came to values that are infinite or not a number");
    Ok(values)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Peak signal-to-noise ratio of values in 0..1.
fn psnr(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    -10.0 * (squares.sum::<f64>() / a.len().max(1) as f64).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_runs_are_infinitely_close_and_a_tenth_is_20_decibels_away() {
        let (a, b) = ([0.5, 0.25, 0.75], [0.6, 0.35, 0.65]);
        assert!((psnr(&a, &b) - 20.0).abs() < 1e-4);
        assert!(psnr(&a, &a).is_infinite() && psnr(&a, &a) > 0.0);
        assert!((cosine(&a, &[1.0, 0.5, 1.5]) - 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 0.0], &[0.0, 1.0]).abs() < 1e-12);
    }
}
