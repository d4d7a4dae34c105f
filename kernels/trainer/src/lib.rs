//! Training on burn: the demo model, from drawn pictures to a quantised file.
//!
//! The demo model is a real latent diffusion model, with the architecture code of the real ones and widths small enough for
//! two CPU cores: an autoencoder is trained first, its latents are computed once, then the denoiser and the text encoder are
//! trained together on captions drawn anew each time. Everything random is counter-based (Philox with the step as key), so a
//! run that is killed and resumed sees the same data as one that was not.

mod average;
mod checkpoint;
pub mod demo;
mod error;
mod learning_rate;
mod mixed_precision;
mod random;
mod report;
mod train;

pub use error::TrainError;
pub use learning_rate::LearningRate;
pub use mixed_precision::MixedPrecision;
pub use report::Report;
pub use train::{TrainLength, TrainOptions, train_demo};
