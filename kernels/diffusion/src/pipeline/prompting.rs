//! How a run's prompts are read.

use serde::{Deserialize, Serialize};

/// What brackets in a prompt mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptSyntax {
    /// The web UI's language, see [`crate::prompt`]; a text without its signs means what it means without a language.
    #[default]
    WebUi,
    /// Nothing: a prompt is words, cut off where the text encoder's context is full, as in diffusers.
    Plain,
}

/// How a run's prompts are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompting {
    /// What brackets mean.
    pub syntax: PromptSyntax,
    /// Whether `clip_skip` holds for the negative prompt too, as in web UIs; in diffusers it does not.
    pub skips_negative: bool,
    /// Whether the networks that the prompts ask for are in the model already; otherwise a prompt that asks for one is refused.
    pub has_networks: bool,
    /// Steps of the pass before, where this run is the second pass of a larger picture.
    pub after: Option<usize>,
}
