//! What the page knows of models that are stored, or could be.

use protocol::{Download, ModelDetails, Offer, PartProgress, ProbeReport};
use reactive_stores::Store;

/// The models, the room for them, and what this device can do with them.
#[derive(Debug, Default, Store)]
pub struct Library {
    /// The models, in the order in which they came.
    pub models: Vec<LibraryModel>,
    /// The engine has said what is stored.
    pub is_listed: bool,
    /// What this device was measured at.
    pub probe: Option<ProbeReport>,
    /// It is being measured.
    pub is_probing: bool,
    /// What is looked for, while it is.
    pub looks_for: Option<String>,
    /// Models to choose from, when there is more than one behind what was asked for.
    pub offers: Vec<Offer>,
    /// Why nothing was added.
    pub add_error: Option<String>,
    /// What was done last, in words.
    pub said: Option<String>,
    /// What the browser gives this page to keep things in.
    pub room: Option<Room>,
    /// Whether the browser keeps them.
    pub keeping: Keeping,
}

/// Room for what a page keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Bytes that are taken.
    pub usage: f64,
    /// Bytes that the browser allows.
    pub quota: f64,
}

/// Whether the browser keeps what is stored when its disk is nearly full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keeping {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It may clear everything.
    BestEffort,
    /// It was asked to keep it, and refused.
    Refused,
    /// It asks before it clears anything.
    Promised,
}

/// A model of the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LibraryModel {
    /// URL of its manifest.
    pub url: String,
    /// What it is, once its header was read.
    pub details: Option<ModelDetails>,
    /// Verified bytes that are stored.
    pub bytes: f64,
    /// Bytes in all; 0 while that is not known.
    pub of: f64,
    /// The same, part by part.
    pub parts: Vec<PartProgress>,
    /// What goes on with it.
    pub phase: Phase,
    /// Where fetching stands.
    pub download: Option<Download>,
    /// Bytes of a range that is on its way.
    pub arriving: f64,
    /// The engine was asked what it is.
    pub is_asked: bool,
    /// What was last done with it, in words.
    pub said: Option<String>,
    /// What could not be done with it, in words.
    pub problem: Option<String>,
}

/// What goes on with a model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Phase {
    /// Nothing.
    #[default]
    Resting,
    /// It is fetched as soon as the device is measured.
    Waiting,
    /// It is being fetched.
    Fetching,
    /// The visitor wants it no further.
    Pausing,
    /// Its stored ranges are hashed; the share that is done.
    Checking(f64),
    /// It is being deleted.
    Deleting,
}

impl LibraryModel {
    /// A model of which nothing is known but its address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// All of it is stored.
    pub fn is_whole(&self) -> bool {
        self.of > 0.0 && self.bytes >= self.of
    }

    /// Its name, or its file's while that is not known.
    pub fn name(&self) -> String {
        let file = || {
            let path = self.url.split(['?', '#']).next().unwrap_or(&self.url);
            let file = path.rsplit('/').next().unwrap_or(path);
            file.trim_end_matches(".json").trim_end_matches(".manifest").trim_end_matches(".gguf").to_owned()
        };
        self.details.as_ref().map_or_else(file, |details| details.name.clone())
    }
}
