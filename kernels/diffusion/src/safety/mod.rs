//! The safety checker that Stable Diffusion is published with, and what is shown in place of a picture that it flags.
//!
//! diffusers' `StableDiffusionSafetyChecker`: CLIP's vision encoder, whose embedding of a picture is compared with those of
//! concepts (Rando et al., 2022, describe which). Everything here fails closed: a picture is shown only where the network
//! said so in numbers; an error, a panic and a score that is no number flag it.

mod censor;
mod checker;
mod clip_input;
mod config;
mod model;
mod verdict;
mod vision;

pub use censor::{Censor, censored};
pub use checker::{CheckError, LoadCheckerError, OnFlagged, Reviewed, SafetyChecker, SafetyFiles};
pub use clip_input::clip_input;
pub use config::{SafetyConfig, VisionConfig};
pub use model::{SafetyModel, SafetyOutput};
pub use verdict::{Thresholds, Verdict};
