//! What this device can do, measured on a small denoiser of the very layers that models are made of.

use super::{Result, device, error::EngineError};
use burn::tensor::{Device, Tensor};
use diffusion::{
    nn::BuilderRoot,
    unet::{Context, PerBlock, UNet2DConditionModel, UNetConfig},
};
use protocol::{DeviceChoice, DeviceSpeed, ProbeReport};
use web_time::Instant;

/// How long each measurement lasts, after a first pass that is not counted.
const SECONDS: f64 = 1.4;
/// Devices faster than this are measured once more on a larger denoiser, which keeps them busy.
const FAST_GFLOPS: f64 = 20.0;
/// A wasm program addresses 32 bits.
const WASM_LIMIT: f64 = 4_294_967_296.0;
const TOKENS: usize = 77;
const CONTEXT: usize = 768;

/// A denoiser of one resolution.
#[derive(Clone, Copy)]
struct Size {
    channels: usize,
    side: usize,
}

const SMALL: Size = Size { channels: 64, side: 16 };
const LARGE: Size = Size { channels: 320, side: 32 };

/// Measures the CPU backend, and WebGPU where there is an adapter.
///
/// # Errors
/// [`EngineError`] when not even the CPU could be measured.
pub async fn probe() -> Result<ProbeReport> {
    let started = Instant::now();
    let found = device::find_adapter().await;
    let mut speeds = vec![DeviceSpeed { device: DeviceChoice::Cpu, gflops: speed(&Device::flex(), SMALL).await? }];
    if found.is_some()
        && let Ok(gpu) = device::open_gpu().await
        && let Ok(gflops) = gpu_speed(&gpu).await
    {
        speeds.push(DeviceSpeed { device: DeviceChoice::Webgpu, gflops });
    }
    Ok(ProbeReport {
        adapter: found.map(device::Adapter::report),
        speeds,
        wasm_limit_bytes: WASM_LIMIT,
        seconds: started.elapsed().as_secs_f64(),
    })
}

async fn gpu_speed(gpu: &Device) -> Result<f64> {
    let small = speed(gpu, SMALL).await?;
    if small < FAST_GFLOPS {
        return Ok(small);
    }
    Ok(speed(gpu, LARGE).await?.max(small))
}

/// Billions of operations a second.
async fn speed(device: &Device, size: Size) -> Result<f64> {
    let Size { channels, side } = size;
    let config = denoiser(channels);
    let root = BuilderRoot::random(0, device);
    let model = UNet2DConditionModel::new(&root.root(""), &config)?;
    let latents = Tensor::<4>::ones([1, config.in_channels, side, side], device);
    let context = Context::new(Tensor::ones([1, TOKENS, CONTEXT], device));
    let pass = async || {
        let output = model.forward(latents.clone(), &[500.0], &context);
        output.into_data_async().await.map_err(|error| EngineError::Device(format!("{error:?}")))
    };
    pass().await?;
    let started = Instant::now();
    let mut passes = 0.0;
    let mut seconds = 0.0;
    while seconds < SECONDS {
        pass().await?;
        passes += 1.0;
        seconds = started.elapsed().as_secs_f64();
    }
    let operations = 2.0 * config.cost(side, side, TOKENS).macs as f64;
    Ok(operations * passes / seconds / 1e9)
}

fn denoiser(channels: usize) -> UNetConfig {
    UNetConfig {
        block_out_channels: vec![channels],
        layers_per_block: PerBlock::Same(1),
        down_block_types: vec!["CrossAttnDownBlock2D".to_owned()],
        up_block_types: vec!["CrossAttnUpBlock2D".to_owned()],
        cross_attention_dim: PerBlock::Same(CONTEXT),
        ..UNetConfig::default()
    }
}
