//! Which device the server computes on.

use crate::device::DeviceKind;
use anyhow::Result;
use burn::tensor::Device;
use clap::ValueEnum;
use std::panic::catch_unwind;

/// A device, or the best that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// The CPU backend.
    Cpu,
    /// The first graphics adapter.
    Wgpu,
    /// The first NVIDIA card, in a program that was built with `--features cuda`.
    Cuda,
    /// CUDA where the program has it, else a graphics card, else the CPU.
    Auto,
}

impl DeviceChoice {
    /// Opens the device and says which it is.
    pub fn open(self) -> Result<(DeviceKind, Device)> {
        let kind = match self {
            Self::Cpu => DeviceKind::Cpu,
            Self::Wgpu => DeviceKind::Wgpu,
            Self::Cuda => DeviceKind::Cuda,
            Self::Auto => {
                let found =
                    [DeviceKind::Cuda, DeviceKind::Wgpu].into_iter().find_map(|kind| Some((kind, works(kind)?)));
                return Ok(found.unwrap_or((DeviceKind::Cpu, Device::flex())));
            }
        };
        Ok((kind, kind.open()?))
    }
}

/// The device, if it can be used: drivers that are not there are told of by panics.
fn works(kind: DeviceKind) -> Option<Device> {
    catch_unwind(|| {
        let device = kind.open().ok()?;
        device.sync().ok()?;
        Some(device)
    })
    .ok()
    .flatten()
}

/// What it is called in logs and at the edge.
pub const fn word_of(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Wgpu => "wgpu",
        DeviceKind::Cuda => "cuda",
    }
}
