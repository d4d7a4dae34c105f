//! The words that every room of Darkroom shares: validated parameters of a picture, and nothing that computes.
//!
//! A value of one of these types is valid by construction, so inner code never checks ranges again. The page's form, the
//! command line, the wire and the pipeline all speak these types; each newtype's error says what was wrong and what is allowed.

mod event;
mod generate;
mod scheduler;
mod value;
mod words;

pub use event::{Phase, Progress};
pub use generate::{GenerateSpec, InitImageSpec};
pub use scheduler::{NoiseKind, PredictionType, SchedulerKind, SigmaSpacing, Solver, TimestepSpacing};
pub use value::{BatchSize, ClipSkip, Guidance, GuidanceRescale, ImageSize, ModelId, Seed, SpecError, Steps, Strength};
