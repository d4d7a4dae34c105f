//! GPU kernels for what burn has no fast one on WGSL: one CubeCL source for WebGPU, Vulkan and CUDA.
//!
//! Each stands in a folder of its own: `mod.rs` is what callers see, `kernel.rs` runs on the device, `reference.rs` is the same in
//! plain loops, which the tests compare it with. The CPU computes the same operations ([`cpu`]) in a browser, and natively where it
//! has vectors of 256 bits; any other leaves them to the framework: [`handles`] says when.
//!
//! # Tiles
//!
//! Chosen by shape when a kernel is started, never by measuring in a browser. No choice needs more than WebGPU promises every
//! adapter (256 threads and 16 KiB of memory a workgroup), so none depends on one. All were measured on a software adapter alone
//! (`tests/bench/RESULTS.md`), which ranks nothing for a GPU: the table is to be measured anew on the first one.
//!
//! | kernel | shape | outputs of a thread | threads | memory of a workgroup | against |
//! |---|---|---|---|---|---|
//! | [`conv3x3`] | rows of 8 pixels and more | 8 pixels x 8 channels | 64: pixels first, then up to 8 tiles of channels | 0 in f32, else 9,216 bytes (half in f16) | 4 x 8, 8 x 4, 4 x 16 |
//! | | shorter rows | the next power of two x 8 | the same | the same | always 8: 0.6 to 0.9 of the speed at 4 x 4 |
//! | [`matmul`] | over 32 rows | 8 rows x 8 outputs | up to 8 along rows x 8 along outputs | 0 in f32, else 8,192 bytes (half in f16) | none |
//! | | 17 to 32, 9 to 16, up to 8 rows | 4, 2, 1 x 8 | the same | the same | none |
//! | [`attention`] | heads up to 80 values | 2 queries, the whole head | 64 | 0 | 1 query |
//! | | 81 to 128 | 1 query, the whole head | 64 | 0 | none |
//! | | 129 to 1,024 | up to 16 queries, every 64th vector of the head | 64 share 32 keys' scores | 2,112 bytes | one thread a query: 0.6 of the speed at 160 |
//! | [`norm`] | any | a 64th of a group or row | 64 | 256 bytes | none |

pub mod attention;
pub mod conv3x3;
pub mod cpu;
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
    !is_stock() && (is_queued(device) || cpu::runs_on(device))
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
