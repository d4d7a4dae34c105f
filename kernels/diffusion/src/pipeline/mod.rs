//! From a prompt to a picture.

mod masked;
mod model_files;
mod observer;
mod preview;
mod request;
mod stable_diffusion;

pub use model_files::{Component, ModelCard, ModelFiles, ModelFilesError, keys};
pub use observer::{CancelToken, Observer, Silent};
pub use request::{InitImage, PipelineRequest};
pub use stable_diffusion::{GenerateError, Generated, LoadModelError, LoadOptions, StableDiffusion};
