//! What a model is given beside its own files: low-rank adaptations, learned words, another autoencoder.
//!
//! All of it lies over the model's tensors as they are read, so that every device and every kind of weights takes it, and the
//! base's bytes are never changed. A loaded model takes other adapters, or none, with
//! [`StableDiffusion::adapt`](crate::pipeline::StableDiffusion::adapt), which reads what they touch and nothing else.

mod delta;
mod embedding;
mod lora;
mod lora_parts;
mod merged;
mod replaced;

pub use embedding::{Embedding, EmbeddingError};
pub use lora::{Lora, LoraError};
pub use merged::MergeError;
pub use weights::lora::{Factor, LoraKey, Role};

use self::replaced::Replaced;
use crate::pipeline::{AddedToken, Component, ModelFiles};
use std::{collections::BTreeSet, rc::Rc};
use thiserror::Error;

/// A LoRA in use.
#[derive(Debug, Clone)]
pub struct WeightedLora {
    /// The file.
    pub lora: Rc<Lora>,
    /// How much of it the denoiser takes.
    pub unet: f64,
    /// How much of it the text encoders take.
    pub text: f64,
}

impl WeightedLora {
    /// The same weight everywhere.
    pub const fn new(lora: Rc<Lora>, weight: f64) -> Self {
        Self { lora, unet: weight, text: weight }
    }
}

/// Everything that is laid over a model.
#[derive(Default)]
pub struct Adapters {
    /// Added one after the other, so that their order does not matter but for rounding.
    pub loras: Vec<WeightedLora>,
    /// Whether what is of half precision stays so with something added, as where a device's memory holds it like that; else it
    /// is read in single precision, and nothing is lost. Blocks stay what they are.
    pub keeps_halves: bool,
    /// Words with vectors of their own.
    pub embeddings: Vec<Embedding>,
    /// Another autoencoder with its configuration; the model's own configuration where it brings none.
    pub vae: Option<(Option<String>, Component)>,
}

/// An adapter that does not fit a model.
#[derive(Debug, Error)]
pub enum AdapterError {
    /// A LoRA does not fit.
    #[error(transparent)]
    Lora(#[from] LoraError),
    /// An embedding does not fit.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
    /// The other autoencoder does not fit.
    #[error(
        "the autoencoder makes latents of {found} channels, and this model paints with {expected}; take one of its family"
    )]
    Vae {
        /// What it has.
        found: usize,
        /// What the model has.
        expected: usize,
    },
    /// A configuration is not usable.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
}

impl Adapters {
    /// Whether there is nothing to lay over.
    pub fn is_empty(&self) -> bool {
        self.loras.is_empty() && self.embeddings.is_empty() && self.vae.is_none()
    }

    /// The files with all of this over them; the originals are untouched, and nothing is read but headers.
    ///
    /// # Errors
    /// [`AdapterError`] naming what does not fit, and where.
    pub fn over(&self, files: &ModelFiles) -> Result<ModelFiles, AdapterError> {
        let mut files = files.clone();
        if let Some((config, component)) = &self.vae {
            replace_vae(&mut files, config.clone(), component.clone())?;
        }
        lora::lay_over(&mut files, &self.loras, self.keeps_halves)?;
        embedding::lay_over(&mut files, &self.embeddings)?;
        Ok(files)
    }
}

fn replace_vae(files: &mut ModelFiles, config: Option<String>, component: Component) -> Result<(), AdapterError> {
    let channels = |config: &str| crate::pipeline::vae_channels(config);
    let own = files.vae.as_ref().map(|(config, _)| config.clone());
    let expected = crate::pipeline::latent_channels(files)?;
    let config = config.or(own).unwrap_or_else(|| {
        // Of Stable Diffusion's autoencoders only the factor differs.
        let factor = if files.text_encoder_2.is_some() { 0.13025 } else { 0.18215 };
        serde_json::json!({ "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "scaling_factor": factor,
            "down_block_types": vec!["DownEncoderBlock2D"; 4], "up_block_types": vec!["UpDecoderBlock2D"; 4] })
        .to_string()
    });
    let found = channels(&config)?;
    if found != expected {
        return Err(AdapterError::Vae { found, expected });
    }
    let Component { source, prefix } = component;
    files.vae = Some((config, Component { source: Rc::new(Replaced::new(source)), prefix }));
    Ok(())
}

/// The words that are added to a vocabulary of `first` ids.
pub(crate) fn added_ids(tokens: &[AddedToken], first: usize) -> Vec<(String, Vec<u32>)> {
    let mut next = first as u32;
    tokens
        .iter()
        .map(|AddedToken { word, count }| {
            let ids = (next..next + *count as u32).collect();
            next += *count as u32;
            (word.clone(), ids)
        })
        .collect()
}

/// At most twelve of many names, for messages.
fn listed(names: &BTreeSet<String>) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let rest = names.len().saturating_sub(SHOWN);
    if rest > 0 { format!("{}, and {rest} more", shown.join(", ")) } else { shown.join(", ") }
}
