//! From a prompt to a picture.

mod autoencoder;
mod conditioning;
mod control;
mod hires;
mod inpaint;
mod load_options;
mod loading;
mod masked;
mod model_files;
mod observer;
mod panorama;
mod preview;
mod prompt_encoder;
mod prompting;
mod rehearsal;
mod request;
mod self_attention;
mod sizes;
mod stable_diffusion;
mod started;
mod switches;

pub(crate) use autoencoder::{latent_channels, vae_channels};
pub use control::Control;
pub use hires::{Hires, HiresUpscale};
pub use inpaint::{Inpaint, MaskCells, MaskedContent};
pub use load_options::LoadOptions;
pub use loading::{Loading, Part};
pub use model_files::{AddedToken, Component, ModelCard, ModelFiles, ModelFilesError, SecondTextEncoder, keys};
pub use observer::{CancelToken, Observer, Silent};
pub use prompt_encoder::PromptEncoder;
pub use prompting::{PromptSyntax, Prompting};
pub use rehearsal::rehearse;
pub use request::{InitImage, PipelineRequest};
pub use sizes::{NegativeSizes, SizeConditioning};
pub use stable_diffusion::{GenerateError, Generated, LoadModelError, StableDiffusion};
pub use switches::{Panorama, SelfAttentionGuidance, Switches};
