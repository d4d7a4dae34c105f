//! What the two ends say to each other about models that are stored, or could be.

use crate::{DeviceSpeed, Download};
use serde::{Deserialize, Serialize};

/// A model of which something is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredModel {
    /// URL of its manifest.
    pub manifest_url: String,
    /// Its file's name.
    pub file: String,
    /// Verified bytes that are stored here.
    pub bytes: f64,
    /// Bytes in all.
    pub of: f64,
    /// The same, part by part; empty until its header was read.
    pub parts: Vec<PartProgress>,
    /// What it is, once its header was read.
    pub details: Option<Box<ModelDetails>>,
}

/// What the header of a model's file tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelDetails {
    /// URL of its manifest.
    pub manifest_url: String,
    /// Its name.
    pub name: String,
    /// Which family it belongs to, in words.
    pub family: String,
    /// Its file's name.
    pub file: String,
    /// Bytes of its file.
    pub size_bytes: f64,
    /// Where each part lies in the file, in the order of a run.
    pub parts: Vec<ModelPart>,
    /// Width and height it draws best.
    pub native_size: (u32, u32),
    /// Steps it was tuned for.
    pub steps: u32,
    /// Guidance it was tuned for; above 1 each step computes twice.
    pub guidance: f32,
    /// Numbers it has learned.
    pub parameters: f64,
    /// Bytes of its largest tensor as it is stored.
    pub largest_tensor_bytes: f64,
    /// What a picture of its native size takes.
    pub cost: ModelCost,
}

/// A part of a model in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelPart {
    /// `text_encoder`, `unet`, `vae` or `taesd`.
    pub name: String,
    /// Stretches of the file, each as its first byte and its length.
    pub spans: Vec<(f64, f64)>,
}

/// What a picture takes, in multiply-accumulates; two operations each.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelCost {
    /// The denoiser, once.
    pub unet_macs: f64,
    /// The preview of a step; 0 where it costs next to nothing.
    pub preview_macs: f64,
    /// Making the picture from the finished latents.
    pub decode_macs: f64,
    /// Bytes of activations at the worst moment.
    pub activation_bytes: f64,
}

/// How much of a part is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartProgress {
    /// `text_encoder`, `unet`, `vae` or `taesd`.
    pub name: String,
    /// Verified bytes that are stored here.
    pub bytes: f64,
    /// Bytes in all.
    pub of: f64,
}

/// Where fetching a model stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fetching {
    /// URL of its manifest.
    pub manifest_url: String,
    /// The whole file.
    pub download: Download,
    /// Bytes of the range that is on its way, not verified yet.
    pub arriving: f64,
    /// Part by part; empty until the header was read.
    pub parts: Vec<PartProgress>,
}

/// What hashing every stored range of a model came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// URL of its manifest.
    pub manifest_url: String,
    /// Ranges that were hashed.
    pub ranges: u32,
    /// Those that were damaged and count as missing now.
    pub damaged: u32,
}

/// A model that can be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// URL of its manifest, or of its file with hash and size behind a `#`.
    pub manifest_url: String,
    /// Its file, as the visitor knows it.
    pub file: String,
    /// Bytes of the file, where they are known before the manifest is read.
    pub size_bytes: Option<f64>,
}

/// What this device was measured at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// The WebGPU adapter, where there is one.
    pub adapter: Option<Adapter>,
    /// Each device that was measured.
    pub speeds: Vec<DeviceSpeed>,
    /// Most bytes that a wasm program can have here.
    pub wasm_limit_bytes: f64,
    /// How long the measurement took.
    pub seconds: f64,
}

/// A WebGPU adapter and its limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapter {
    /// As the browser names it.
    pub name: String,
    /// It computes on the CPU, and slowly.
    pub is_software: bool,
    /// Largest buffer.
    pub max_buffer_bytes: f64,
    /// Largest stretch of a buffer that a shader can see.
    pub max_binding_bytes: f64,
}

impl ModelPart {
    /// Bytes in all.
    pub fn bytes(&self) -> f64 {
        total(self.spans.iter().map(|(_, length)| *length))
    }

    /// How much of it lies in `stored`, stretches of the file that do not overlap, each as its first byte and its length.
    pub fn progress(&self, stored: &[(f64, f64)]) -> PartProgress {
        let within = |&(start, length): &(f64, f64)| -> f64 {
            let common = |&(other, other_length): &(f64, f64)| {
                ((start + length).min(other + other_length) - start.max(other)).max(0.0)
            };
            total(stored.iter().map(common))
        };
        PartProgress { name: self.name.clone(), bytes: total(self.spans.iter().map(within)), of: self.bytes() }
    }
}

/// The standard library's sum of nothing is minus zero, which reads badly.
fn total(lengths: impl Iterator<Item = f64>) -> f64 {
    lengths.fold(0.0, |total, length| total + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_the_bytes_of_ranges_that_reach_into_it() {
        let part = ModelPart { name: "vae".to_owned(), spans: vec![(100.0, 50.0), (200.0, 10.0)] };
        let found = |stored: &[(f64, f64)]| part.progress(stored).bytes.to_string();
        assert_eq!(part.bytes().to_string(), "60");
        assert_eq!(found(&[]), "0");
        assert_eq!(found(&[(0.0, 120.0)]), "20");
        assert_eq!(found(&[(120.0, 85.0), (205.0, 100.0)]), "40");
        assert_eq!(found(&[(0.0, 1000.0)]), "60");
    }
}
