//! GPU kernels for what burn has no fast one on WGSL: one CubeCL source for WebGPU, Vulkan and CUDA.
//!
//! Each stands in a folder of its own: `mod.rs` is what callers see, `kernel.rs` runs on the device, `reference.rs` is the same in
//! plain loops, which the tests compare it with. On a device without CubeCL nothing here is called: [`handles`] says when.

pub mod attention;
pub mod conv3x3;
pub mod embedding;
pub mod matmul;
pub mod norm;
pub mod packed;
mod rehearsal;
#[cfg(test)]
mod testing;

pub use rehearsal::rehearse;

use burn::{
    backend::DispatchDevice,
    tensor::{DType, Device, Tensor},
};

/// Whether a tensor lies on a device that the kernels run on, in a type that they know. They have no gradients.
pub fn handles<const D: usize>(tensor: &Tensor<D>) -> bool {
    runs_on(&tensor.device()) && tensor.dtype() == DType::F32
}

/// Whether the kernels run on a device.
pub fn runs_on(device: &Device) -> bool {
    !is_stock() && is_queued(device)
}

/// Whether a device works off a queue, so that what is asked of it goes on while the caller does something else.
pub fn is_queued(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

#[cfg(feature = "stock")]
static STOCK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Leaves everything that is loaded from now on to the framework, or no longer.
#[cfg(feature = "stock")]
pub fn use_stock(stock: bool) {
    STOCK.store(stock, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "stock")]
fn is_stock() -> bool {
    STOCK.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(not(feature = "stock"))]
const fn is_stock() -> bool {
    false
}
