//! Stable Diffusion on burn, the same code in a browser, on a node and in the trainer.
//!
//! Modules carry diffusers' names and are cut as diffusers cuts them, so that a reader of one finds the other. A model is built
//! from its `config.json` files alone; nothing here knows a width. Files are opened by the crate `weights`, parameters are
//! handed out by [`nn::Builder`], and everything that a user may set arrives as a type of the crate `spec`.
//!
//! The block form: a constructor takes a [`nn::Builder`] and sizes; `forward` names its axes in a `# Shapes` section with the
//! words of its own destructuring. Tolerances against the reference are in `tests/golden`.

pub mod adapters;
pub mod checkpoint;
pub mod config;
pub mod controlnet;
pub mod inpaint;
pub mod nn;
pub mod noise;
pub mod picture;
pub mod pipeline;
pub mod preprocess;
pub mod resample;
pub mod safety;
pub mod scheduler;
pub mod text;
pub mod unet;
pub mod upscale;
pub mod vae;

pub use ::prompt;
pub use ::prompt::{infotext, metadata};
