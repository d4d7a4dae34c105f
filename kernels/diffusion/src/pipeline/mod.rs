//! From a prompt to a picture.

mod autoencoder;
mod load_options;
mod loading;
mod masked;
mod model_files;
mod observer;
mod preview;
mod request;
mod stable_diffusion;

pub use load_options::LoadOptions;
pub use loading::{Loading, Part};
pub use model_files::{Component, ModelCard, ModelFiles, ModelFilesError, keys};
pub use observer::{CancelToken, Observer, Silent};
pub use request::{InitImage, PipelineRequest};
pub use stable_diffusion::{GenerateError, Generated, LoadModelError, StableDiffusion};
