//! Why a model cannot be loaded.

use crate::{config::ConfigError, nn::LoadError, text::TokenizerError};
use thiserror::Error;

/// A model that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadModelError {
    /// A configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer's files are not usable.
    #[error("could not read the tokenizer")]
    Tokenizer(#[from] TokenizerError),
    /// The text encoders do not belong to the denoiser.
    #[error(
        "the text encoders do not fit the denoiser: they give vectors of {} with {}, and it takes {} with {}; a Stable \
         Diffusion XL needs both of its text encoders", .gives.0, pooled(.gives.1), .takes.0, pooled(.takes.1)
    )]
    Conditioning {
        /// Width of a token's vector, and of the pooled text where there is one.
        gives: (usize, Option<usize>),
        /// The same, as the denoiser takes it.
        takes: (usize, Option<usize>),
    },
    /// There is nothing to make pixels of latents.
    #[error("the model has no autoencoder: neither a `vae` nor a `taesd`")]
    NoAutoencoder,
    /// The denoiser takes something beside latents that is not known.
    #[error(
        "the denoiser takes {found} channels; known are {latent} (latents) and {} (latents, a mask, and the masked picture's latents)",
        2 * .latent + 1
    )]
    Channels {
        /// Channels that the denoiser takes.
        found: usize,
        /// Channels of the latents.
        latent: usize,
    },
    /// A part's weights do not fit.
    #[error("could not load the weights of `{part}`")]
    Weights {
        /// Which part of the model.
        part: &'static str,
        /// What is wrong with them.
        #[source]
        source: LoadError,
    },
}

fn pooled(width: Option<usize>) -> String {
    width.map_or_else(|| "no pooled text".to_owned(), |width| format!("a pooled text of {width}"))
}
