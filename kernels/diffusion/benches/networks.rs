//! A whole run on the CPU, phase by phase: one JSON object with the seconds of loading, text, a step and decoding, and the most memory.
//!
//! `DARKROOM_MODEL` is the model, `DARKROOM_SIZE` the picture's side in pixels (512), `DARKROOM_STEPS` how many steps are taken (2), the first of
//! which is left out of the figure.

use burn::tensor::Device;
use diffusion::pipeline::{CancelToken, LoadOptions, ModelFiles, Observer, PipelineRequest, StableDiffusion};
use spec::{GenerateSpec, Phase, Progress};
use std::{
    env,
    error::Error,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

fn main() -> Result<(), Box<dyn Error>> {
    let model = PathBuf::from(env::var_os("DARKROOM_MODEL").ok_or("DARKROOM_MODEL names no model")?);
    let side = number("DARKROOM_SIZE", 512)?;
    let steps = number("DARKROOM_STEPS", 2)?;
    let started = Instant::now();
    let files = ModelFiles::open(&model)?;
    let pipeline = StableDiffusion::load(&files, &Device::flex(), LoadOptions::default())?;
    let load = started.elapsed();
    // One pass a step, as the other side is measured.
    let spec: GenerateSpec = serde_json::from_value(serde_json::json!({
        "prompt": "a lighthouse at dusk",
        "steps": steps,
        "guidance": 1.0,
        "size": [side, side],
    }))?;
    let mut clock = Clock::default();
    let request = PipelineRequest::from_spec(&spec, None);
    pollster::block_on(pipeline.generate(request, &mut clock, &CancelToken::default()))?;
    println!(
        "{}",
        serde_json::json!({
            "load": load.as_secs_f64(),
            "text": clock.between(Phase::Text, 0, 1),
            "step": clock.between(Phase::Denoising, 1, steps).map(|seconds| seconds / f64::from(steps - 1)),
            "decode": clock.between(Phase::Decoding, 0, 1),
            "peak": peak_memory(),
        })
    );
    Ok(())
}

fn number(name: &str, otherwise: u32) -> Result<u32, Box<dyn Error>> {
    env::var(name).map_or(Ok(otherwise), |text| Ok(text.parse()?))
}

/// When every step was done.
#[derive(Default)]
struct Clock(Vec<(Phase, u32, Instant)>);

impl Clock {
    /// Seconds from one step of a phase to another.
    fn between(&self, phase: Phase, from: u32, to: u32) -> Option<f64> {
        let at = |step| self.0.iter().find(|&&(of, number, _)| of == phase && number == step).map(|&(.., at)| at);
        Some(at(to)?.duration_since(at(from)?)).filter(|took| *took > Duration::ZERO).map(|took| took.as_secs_f64())
    }
}

impl Observer for Clock {
    fn progress(&mut self, progress: Progress) {
        self.0.push((progress.phase, progress.step, Instant::now()));
    }
}

/// The most bytes that this program had in memory, as Linux counts them.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
