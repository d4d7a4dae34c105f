//! The language of prompts, as Stable Diffusion web UI (AUTOMATIC1111) defines it.
//!
//! A text is taken apart in this order: [`ExtraNetwork`]s are taken out (`<lora:name:0.8>`), `AND` divides it into [`Part`]s, each
//! of which is [edited](Editing) from step to step (`[a:b:0.5]`, `[a|b]`), and what stands there at a step falls into
//! [`Piece`]s of one weight each (`(x:1.3)`, `BREAK`). Nothing here fails on a bracket without its partner: that is text. Everything
//! is done in time linear in the text's length, and nesting deeper than a limit is text.
//!
//! Pictures carry the same words: [`infotext`] writes them, [`metadata`] reads them back from everyone's files. All of this comes
//! from strangers, so this crate stands below the models and is quick to build for the fuzzer (`tests/fuzz`).

mod attention;
mod composition;
mod editing;
pub mod infotext;
pub mod metadata;
mod networks;
mod style;

pub use attention::{Piece, pieces};
pub use editing::{Editing, Pass};
pub use networks::{ExtraNetwork, take_networks};
pub use style::{Style, StyleError, Styles};

use thiserror::Error;

/// Longest prompt, in characters.
pub const MAX_CHARS: usize = 100_000;
/// Most prompts that `AND` may join.
pub const MAX_PARTS: usize = 16;

/// A prompt that cannot be followed.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum PromptError {
    /// More than anyone writes.
    #[error("the prompt has {found} characters, but may have at most {most}")]
    Long {
        /// Characters in it.
        found: usize,
        /// Characters that are allowed.
        most: usize,
    },
    /// More `AND`s than anyone needs; each costs a pass of the denoiser at every step.
    #[error("the prompt joins {found} prompts by AND, but at most {most} are allowed")]
    Parts {
        /// Prompts in it.
        found: usize,
        /// Prompts that are allowed.
        most: usize,
    },
    /// More tokens than fit.
    #[error(
        "the prompt fills {found} chunks of tokens, but at most {most} are allowed; shorten it or edit it at fewer steps"
    )]
    Chunks {
        /// Chunks in it.
        found: usize,
        /// Chunks that are allowed.
        most: usize,
    },
    /// A network of a kind that there is not.
    #[error("`{0}` in the prompt asks for a hypernetwork, which is not supported; take it out, or use a LoRA")]
    Unsupported(String),
    /// A network's weight is no number.
    #[error("`{tag}` in the prompt has the weight `{found}`, which is no number; write <lora:NAME:0.8>")]
    NetworkWeight {
        /// What stands in the prompt.
        tag: String,
        /// What stands in the weight's place.
        found: String,
    },
    /// A network that nobody has put into the model.
    #[error("the prompt asks for the network `{0}`, which is not loaded")]
    NotLoaded(String),
}

/// One of the prompts that `AND` joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it says at each step.
    pub editing: Editing,
    /// How much it counts (Liu et al., 2022); 1 where nothing is written.
    pub weight: f64,
}

/// A prompt, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// At least one.
    pub parts: Vec<Part>,
    /// What it asks to be added to the model.
    pub networks: Vec<ExtraNetwork>,
}

impl Prompt {
    /// Takes a prompt apart.
    ///
    /// # Errors
    /// [`PromptError`] when it is too long, or asks for a network in a way that cannot be followed.
    pub fn parse(text: &str) -> Result<Self, PromptError> {
        let (text, networks) = take_networks(checked(text)?)?;
        let parts = composition::parts(&text);
        if parts.len() > MAX_PARTS {
            return Err(PromptError::Parts { found: parts.len(), most: MAX_PARTS });
        }
        let parts = parts.into_iter().map(|(text, weight)| Part { editing: Editing::parse(text), weight }).collect();
        Ok(Self { parts, networks })
    }

    /// Takes a negative prompt apart, in which `AND` is a word like any other.
    ///
    /// # Errors
    /// As [`Prompt::parse`].
    pub fn parse_negative(text: &str) -> Result<Self, PromptError> {
        let (text, networks) = take_networks(checked(text)?)?;
        Ok(Self { parts: vec![Part { editing: Editing::parse(&text), weight: 1.0 }], networks })
    }

    /// A text in which nothing has a meaning of its own.
    pub fn plain(text: &str) -> Self {
        Self { parts: vec![Part { editing: Editing::plain(text), weight: 1.0 }], networks: Vec::new() }
    }
}

fn checked(text: &str) -> Result<&str, PromptError> {
    let found = text.chars().count();
    if found > MAX_CHARS { Err(PromptError::Long { found, most: MAX_CHARS }) } else { Ok(text) }
}

/// What a message shows of a stranger's text: escaped, and cut after 80 characters.
fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A letter, digit or underscore, in any script: what a word is made of.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands by itself at `at`.
fn stands_alone(text: &str, at: usize, word: &str) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + word.len()..].chars().next();
    !before.is_some_and(is_word) && !after.is_some_and(is_word)
}
