//! Between pixels and latents.

mod autoencoder;
mod config;
mod cost;
mod tiling;
mod tiny;

pub use autoencoder::{AutoencoderKl, Posterior};
pub use config::VaeConfig;
pub use tiling::{TilingMode, VaeTiling};
pub use tiny::{AutoencoderTiny, TinyVaeConfig};
