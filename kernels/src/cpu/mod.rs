//! The same operations on the CPU: in vectors of four what a browser without WebGPU computes with, and natively [`wide`].
//!
//! Every product, those of convolutions and attention too, is made of one tile ([`tile`]): four rows by eight columns of sums in
//! registers. A [packed matrix](super::packed) of single precision lies as the tile reads it, so that nothing is packed when a
//! layer runs. Bias, activation, gate and residual are added while a block of outputs is in the cache.
//!
//! Vectors are wasm's SIMD there and plain arrays elsewhere, where these run only when [`use_everywhere`] says so, which the tests
//! do. A processor that [`wide`] has no vectors for is left to the framework's own backend.
//!
//! A browser that has relaxed SIMD multiplies and adds at once: [`relaxed`] is a second tiny module for it. The last bit of a sum
//! then depends on whether the machine's processor does so.

pub(super) mod attention;
pub(super) mod conv3x3;
pub(super) mod embedding;
mod functions;
pub(super) mod matmul;
pub(super) mod norm;
pub mod relaxed;
mod simd;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod wide;

use burn::{
    backend::{DispatchDevice, TensorMetadata as _, flex::FlexTensor},
    tensor::{Device, Shape, TensorData},
};
use std::sync::atomic::{AtomicBool, Ordering};

static IS_PORTABLE: AtomicBool = AtomicBool::new(cfg!(target_arch = "wasm32"));

/// Uses vectors of four on the CPU whatever the machine is, for everything that is loaded from now on.
pub fn use_everywhere() {
    IS_PORTABLE.store(true, Ordering::Relaxed);
}

/// Whether these run on a device.
pub(super) fn runs_on(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_)) && (IS_PORTABLE.load(Ordering::Relaxed) || is_wide())
}

#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    wide().is_some()
}

#[cfg(not(target_arch = "x86_64"))]
const fn is_wide() -> bool {
    false
}

/// The wide vectors that operations are made of.
#[cfg(target_arch = "x86_64")]
fn wide() -> Option<wide::Level> {
    #[cfg(test)]
    match tests::forced() {
        Some(tests::Forced::Four) => return None,
        Some(tests::Forced::Wide(level)) => return Some(level),
        None => {}
    }
    if IS_PORTABLE.load(Ordering::Relaxed) { None } else { wide::Level::detected() }
}

/// The same values one after another.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a contiguous tensor.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("f32, and contiguous by now")
}

/// The values of a packed matrix of single precision.
fn weights(words: &FlexTensor) -> &[f32] {
    bytemuck::cast_slice(words.as_slice::<i32>().expect("words are made as i32, one after another"))
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The lengths of a tensor's axes.
fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}
