//! Which device computes.

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use clap::ValueEnum;

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// The CPU backend.
    Cpu,
    /// The first graphics adapter that Vulkan, Metal or DirectX shows, with the browser's own shaders.
    Wgpu,
    /// The first NVIDIA card through CUDA, in a program that was built with `--features cuda`.
    Cuda,
}

impl DeviceKind {
    /// Opens the device.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Wgpu => Device::wgpu_options()
                .init()
                .context("no graphics adapter could be opened; install a Vulkan driver, or take --device cpu"),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => anyhow::bail!("this program was built without CUDA; build it with --features cuda"),
        }
    }
}
