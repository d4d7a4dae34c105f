//! Which device computes, by a short measurement.
//!
//! Presence says nothing: a software adapter offers WebGPU too, and is 20 to 50 times slower than the CPU backend.

use super::{Result, error::EngineError, wire};
use burn::tensor::{Device, Distribution, Tensor, module::conv2d, ops::ConvOptions};
use protocol::{DeviceChoice, DeviceReport, DeviceSpeed, ErrorCode, Event};
use std::cell::RefCell;
use web_time::Instant;

thread_local! {
    /// A second GPU device in one worker is an error.
    static GPU: RefCell<Option<Device>> = const { RefCell::new(None) };
}

/// A device and what the page is told of it.
pub struct Chosen {
    /// The device.
    pub device: Device,
    /// Why this one.
    pub report: DeviceReport,
}

/// What the browser says of its adapter.
pub struct Adapter {
    name: String,
    is_software: bool,
    limits: wgpu::Limits,
}

impl Adapter {
    /// What the page is told of it.
    pub fn report(self) -> protocol::Adapter {
        let Self { name, is_software, limits } = self;
        let max_buffer_bytes = limits.max_buffer_size as f64;
        let max_binding_bytes = limits.max_storage_buffer_binding_size as f64;
        protocol::Adapter { name, is_software, max_buffer_bytes, max_binding_bytes }
    }
}

/// The adapter that burn will take, if the browser has one.
pub async fn find_adapter() -> Option<Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::BROWSER_WEBGPU,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..wgpu::RequestAdapterOptions::default()
    };
    let adapter = instance.request_adapter(&options).await.ok()?;
    let info = adapter.get_info();
    let lower = info.name.to_lowercase();
    let is_software = info.device_type == wgpu::DeviceType::Cpu
        || ["swiftshader", "llvmpipe", "lavapipe", "software", "basic render"].iter().any(|word| lower.contains(word));
    let name = if info.name.is_empty() { "one that the browser does not name".to_owned() } else { info.name };
    Some(Adapter { name, is_software, limits: adapter.limits() })
}

/// Opens the GPU, and has the page told when it is lost.
///
/// # Errors
/// [`EngineError::Device`] when the browser refuses it.
pub async fn open_gpu() -> Result<Device> {
    if let Some(device) = GPU.with_borrow(Clone::clone) {
        return Ok(device);
    }
    let (device, setup) = Device::wgpu_options().init_with_setup_async().await.map_err(|error| {
        // The details are for whoever opens the console; a visitor can only choose another device.
        wire::warn(&error.to_string());
        EngineError::Device("the browser refused it".to_owned())
    })?;
    setup.device.set_device_lost_callback(|reason, message| {
        let message = format!("the browser took the GPU away ({reason:?}: {message})");
        wire::post(&Event::Error { run: None, code: ErrorCode::Device, message, fatal: true }, None);
    });
    GPU.set(Some(device.clone()));
    Ok(device)
}

/// Billions of operations a second on a 3 x 3 convolution such as the denoiser is made of.
async fn measure(device: &Device) -> Result<f64> {
    const CHANNELS: usize = 64;
    const SIDE: usize = 16;
    const RUNS: usize = 3;
    let operations = (2 * CHANNELS * CHANNELS * 9 * SIDE * SIDE * RUNS) as f64;
    let input = Tensor::<4>::random([1, CHANNELS, SIDE, SIDE], Distribution::Default, device);
    let weight = Tensor::<4>::random([CHANNELS, CHANNELS, 3, 3], Distribution::Default, device);
    let mut seconds = f64::INFINITY;
    // The first pass compiles the shader and is not counted.
    for pass in 0..2 {
        let started = Instant::now();
        let mut hidden = input.clone();
        for _ in 0..RUNS {
            hidden = conv2d(hidden, weight.clone(), None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        }
        hidden.into_data_async().await.map_err(|error| EngineError::Device(format!("{error:?}")))?;
        if pass > 0 {
            seconds = started.elapsed().as_secs_f64();
        }
    }
    Ok(operations / seconds.max(1e-6) / 1e9)
}

fn cpu(reason: String, adapter: Option<&Adapter>, measured: Vec<DeviceSpeed>) -> Chosen {
    let report = DeviceReport {
        device: DeviceChoice::Cpu,
        adapter: adapter.map(|adapter| adapter.name.clone()),
        reason,
        other_available: adapter.is_some(),
        measured,
    };
    Chosen { device: Device::flex(), report }
}

fn gpu(device: Device, reason: String, adapter: &Adapter, measured: Vec<DeviceSpeed>) -> Chosen {
    let report = DeviceReport {
        device: DeviceChoice::Webgpu,
        adapter: Some(adapter.name.clone()),
        reason,
        other_available: true,
        measured,
    };
    Chosen { device, report }
}

/// Chooses a device.
///
/// # Errors
/// [`EngineError::Device`] when the GPU was asked for by name and cannot be had.
pub async fn choose(choice: DeviceChoice) -> Result<Chosen> {
    let adapter = find_adapter().await;
    match (choice, adapter) {
        (DeviceChoice::Cpu, adapter) => Ok(cpu("You chose it".to_owned(), adapter.as_ref(), Vec::new())),
        (DeviceChoice::Webgpu, None) => {
            Err(EngineError::Device("this browser offers no WebGPU adapter; choose the CPU".to_owned()))
        }
        (DeviceChoice::Webgpu, Some(adapter)) => {
            Ok(gpu(open_gpu().await?, "You chose it".to_owned(), &adapter, Vec::new()))
        }
        (DeviceChoice::Auto, None) => Ok(cpu("This browser offers no WebGPU adapter".to_owned(), None, Vec::new())),
        (DeviceChoice::Auto, Some(adapter)) if adapter.is_software => Ok(cpu(
            format!("The only WebGPU adapter ({}) is software, and far slower", adapter.name),
            Some(&adapter),
            Vec::new(),
        )),
        (DeviceChoice::Auto, Some(adapter)) => measured(adapter).await,
    }
}

async fn measured(adapter: Adapter) -> Result<Chosen> {
    let cpu_speed = measure(&Device::flex()).await?;
    let opened = open_gpu().await;
    let gpu_speed = match &opened {
        Ok(device) => measure(device).await,
        Err(error) => Err(EngineError::Device(error.to_string())),
    };
    let mut speeds = vec![DeviceSpeed { device: DeviceChoice::Cpu, gflops: cpu_speed }];
    match (opened, gpu_speed) {
        (Ok(device), Ok(gflops)) => {
            speeds.push(DeviceSpeed { device: DeviceChoice::Webgpu, gflops });
            if gflops >= cpu_speed {
                let reason = format!("It was measured at {gflops:.0} GFLOP/s, the CPU at {cpu_speed:.0}");
                Ok(gpu(device, reason, &adapter, speeds))
            } else {
                let reason = format!("It was measured at {cpu_speed:.0} GFLOP/s, the GPU at {gflops:.0}");
                Ok(cpu(reason, Some(&adapter), speeds))
            }
        }
        (Err(error), _) | (_, Err(error)) => Ok(cpu(format!("The GPU failed: {error}"), Some(&adapter), speeds)),
    }
}
