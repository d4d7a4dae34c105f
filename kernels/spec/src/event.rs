//! What a run says while it goes on; the same words in the worker protocol, in events on the wire and in the DOM.

use serde::{Deserialize, Serialize};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Weights are fetched, verified and uploaded.
    Loading,
    /// The prompt is encoded.
    Text,
    /// Noise is taken away, step by step.
    Denoising,
    /// The latents become pixels.
    Decoding,
}

impl Phase {
    /// The word in messages and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Text => "text",
            Self::Denoising => "denoising",
            Self::Decoding => "decoding",
        }
    }
}

/// One report: step `step` of `of` in a phase is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where the run is.
    pub phase: Phase,
    /// Steps done in this phase, 0 at its start.
    pub step: u32,
    /// Steps in this phase.
    pub of: u32,
    /// Mean time of a step in this phase, once one was taken.
    pub seconds_per_step: Option<f64>,
    /// Expected time until this phase ends.
    pub eta_seconds: Option<f64>,
}
