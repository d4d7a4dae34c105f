//! Between pixels and latents.

mod autoencoder;
mod config;
mod cost;
mod tiny;

pub use autoencoder::{AutoencoderKl, Posterior};
pub use config::VaeConfig;
pub use tiny::{AutoencoderTiny, TinyVaeConfig};
