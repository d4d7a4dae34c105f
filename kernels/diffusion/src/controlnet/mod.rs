//! diffusers' `ControlNetModel`: a second encoder that steers a denoiser by a picture (Zhang et al., 2023).

mod config;
mod embedding;
mod files;
mod model;
#[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "files are opened natively"))]
mod single_file;

pub use config::ControlNetConfig;
pub use files::{ControlNetFiles, ControlNetFilesError, LoadControlNetError};
pub use model::{ControlNetModel, ControlScale};
