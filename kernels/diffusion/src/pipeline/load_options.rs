//! How a model is put on a device.

use super::{Component, ModelFiles};
use weights::{Dtype, TensorInfo};

/// How a model is put on a device.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// What our own GPU kernels multiply with stays as the file has it; other devices always take single precision.
    pub keep_quantised: bool,
    /// The denoiser's weights that stay as they are are multiplied in half precision, where the adapter computes in it. What
    /// comes before and after it is not: an autoencoder's values can be beyond its range.
    pub half_products: bool,
}

/// Files up to this size are put on a GPU in single precision, which its kernels read without turning it into anything first.
const SMALL: u64 = 128 << 20;

impl LoadOptions {
    /// What serves a model best: large ones stay quantised, since their weights are what fills a GPU's memory.
    pub fn for_files(files: &ModelFiles) -> Self {
        let bytes: u64 = parts(files).flat_map(tensors).map(|info| info.bytes).sum();
        Self { keep_quantised: bytes > SMALL, half_products: bytes > SMALL }
    }

    /// About what the weights take on a device; `is_gpu` where our own kernels compute.
    pub fn device_bytes(self, files: &ModelFiles, is_gpu: bool) -> u64 {
        let is_kept = |info: &TensorInfo| self.keep_quantised && is_gpu && info.shape.len() > 1;
        let bytes = |info: &TensorInfo| match info.dtype {
            Dtype::Q8_0 | Dtype::Q4_0 | Dtype::F16 if is_kept(info) => info.bytes,
            // Other blocks are unpacked on their way.
            dtype if dtype.is_block_quantised() && is_kept(info) => info.elements() * 2,
            _ => info.elements() * 4,
        };
        parts(files).flat_map(tensors).map(bytes).sum()
    }
}

fn parts(files: &ModelFiles) -> impl Iterator<Item = &Component> {
    let autoencoders = [&files.vae, &files.tiny_vae].into_iter().flatten().map(|(_, component)| component);
    let second = files.text_encoder_2.iter().map(|second| &second.component);
    [&files.unet, &files.text_encoder].into_iter().chain(second).chain(autoencoders)
}

fn tensors(part: &Component) -> impl Iterator<Item = &TensorInfo> {
    let inside = |name: &str| {
        part.prefix.is_empty() || name.strip_prefix(&part.prefix).is_some_and(|rest| rest.starts_with('.'))
    };
    part.source.tensors().iter().filter(move |info| inside(&info.name))
}
