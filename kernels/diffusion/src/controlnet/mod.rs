//! diffusers' `ControlNetModel`: a second encoder that steers a denoiser by a picture (Zhang et al., 2023).

mod config;
mod embedding;
mod files;
mod model;

pub use config::ControlNetConfig;
pub use files::{ControlNetFiles, LoadControlNetError};
pub use model::{ControlNetModel, ControlScale};
