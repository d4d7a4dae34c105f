//! What can go wrong.

use std::path::PathBuf;
use thiserror::Error;

/// A training run, or a drawing for one, that could not go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("could not use `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A picture could not be decoded or encoded.
    #[error("could not read or write a picture")]
    Picture(#[from] image::ImageError),
    /// The font is not one.
    #[error("the font is not readable")]
    Font(#[from] ttf_parser::FaceParsingError),
    /// The font lacks a glyph.
    #[error("the font has no bitmap of `{0}`; take Noto Color Emoji (Debian's fonts-noto-color-emoji)")]
    Glyph(&'static str),
    /// A configuration is not usable.
    #[error(transparent)]
    Config(#[from] diffusion::config::ConfigError),
    /// The tokenizer's files are not usable.
    #[error(transparent)]
    Tokenizer(#[from] diffusion::text::TokenizerError),
    /// A checkpoint's weights do not fit.
    #[error("could not load the checkpoint")]
    Load(#[from] diffusion::nn::LoadError),
    /// A weights file could not be read.
    #[error("could not read the weights")]
    Weights(#[from] weights::WeightsError),
    /// A checkpoint could not be written.
    #[error("could not write the weights")]
    Write(#[from] weights::SafetensorsWriteError),
    /// The optimiser's state could not be saved or loaded.
    #[error("could not use the optimiser's state: {0}")]
    Optimiser(String),
    /// A checkpoint's numbers could not be read.
    #[error("could not read the checkpoint's state")]
    State(#[from] serde_json::Error),
    /// The device cannot compute in the type that was asked for.
    #[error("this device cannot compute in {0:?}; leave mixed precision off")]
    MixedPrecision(crate::MixedPrecision),
    /// The loss is no number any more.
    #[error(
        "the loss of the stage `{stage}` is no number any more after step {step}; go on from the last checkpoint with a lower learning rate"
    )]
    Diverged {
        /// The stage.
        stage: &'static str,
        /// Steps taken.
        step: u64,
    },
    /// The system gave no thread to compute on.
    #[error("could not start a thread")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// A trained model could not be run.
    #[error("could not draw samples")]
    Sample(#[from] diffusion::pipeline::GenerateError),
    /// A trained model could not be put together.
    #[error("could not put the model together")]
    Model(#[from] diffusion::pipeline::LoadModelError),
}

impl TrainError {
    /// Names the file in an error of the system.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
