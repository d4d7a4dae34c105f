//! Which device the server computes on.

use crate::device::DeviceKind;
use anyhow::Result;
use burn::tensor::{Device, DeviceKind as Adapter};
use clap::ValueEnum;
use std::panic::{UnwindSafe, catch_unwind};

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
            Self::Auto => return Ok(best()),
        };
        Ok((kind, kind.open()?))
    }
}

/// The first of these that works: a driver written in software also calls itself an adapter, and is slower than the CPU backend.
fn best() -> (DeviceKind, Device) {
    let card = |kind| move || Ok(Device::wgpu_options().device_kind(kind).init()?);
    works(|| DeviceKind::Cuda.open())
        .map(|device| (DeviceKind::Cuda, device))
        .or_else(|| {
            let found = works(card(Adapter::DiscreteGpu(0))).or_else(|| works(card(Adapter::IntegratedGpu(0))));
            found.map(|device| (DeviceKind::Wgpu, device))
        })
        .unwrap_or((DeviceKind::Cpu, Device::flex()))
}

/// The device, if it can be used: a driver that is not there can be told of by a panic.
fn works(open: impl FnOnce() -> Result<Device> + UnwindSafe) -> Option<Device> {
    catch_unwind(|| {
        let device = open().ok()?;
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
