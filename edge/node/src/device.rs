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
}

impl DeviceKind {
    /// Opens the device.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Wgpu => Device::wgpu_options()
                .init()
                .context("no graphics adapter could be opened; install a Vulkan driver, or take --device cpu"),
        }
    }
}
