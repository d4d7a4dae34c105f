//! Times a model in diffusers' layout with candle on the CPU, in float32: `candle-side FOLDER SIDE STEPS`.
//!
//! Prints one JSON object: seconds of loading, of the text encoder, of a pass of the UNet and of decoding, and the most bytes in
//! memory.

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Module as _, Tensor};
use candle_transformers::models::stable_diffusion::{StableDiffusionConfig, build_clip_transformer};
use std::{env, fs, time::Instant};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, folder, side, steps] = &arguments[..] else { anyhow::bail!("candle-side FOLDER SIDE STEPS") };
    let (side, steps): (usize, usize) = (side.parse()?, steps.parse()?);
    let weights = "diffusion_pytorch_model.safetensors";
    let ((text_encoder, unet, vae), load) = timed(|| {
        let config = StableDiffusionConfig::v1_5(None, Some(side), Some(side));
        let text_encoder = format!("{folder}/text_encoder/model.safetensors");
        Ok((
            build_clip_transformer(&config.clip, text_encoder, &Device::Cpu, DType::F32)?,
            config.build_unet(format!("{folder}/unet/{weights}"), &Device::Cpu, 4, false, DType::F32)?,
            config.build_vae(format!("{folder}/vae/{weights}"), &Device::Cpu, DType::F32)?,
        ))
    })?;
    let ids = Tensor::new(vec![1_u32; 77], &Device::Cpu)?.unsqueeze(0)?;
    let (states, text) = timed(|| Ok(text_encoder.forward(&ids)?))?;
    let latents = Tensor::randn(0_f32, 1.0, (1, 4, side / 8, side / 8), &Device::Cpu)?;
    let mut passes = Vec::new();
    for _ in 0..steps {
        passes.push(timed(|| Ok(unet.forward(&latents, 500.0, &states)?))?.1);
    }
    let (_, decode) = timed(|| Ok(vae.decode(&latents)?))?;
    let step = passes[1..].iter().sum::<f64>() / (steps - 1) as f64;
    println!("{}", serde_json::json!({ "load": load, "text": text, "step": step, "decode": decode, "peak": peak()? }));
    Ok(())
}

fn timed<T>(compute: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let started = Instant::now();
    let result = compute()?;
    Ok((result, started.elapsed().as_secs_f64()))
}

/// The most bytes that this program had in memory, as Linux counts them.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
