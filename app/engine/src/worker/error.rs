//! What can go wrong, and how the page is told.

use diffusion::pipeline::{GenerateError, LoadModelError, ModelFilesError};
use protocol::{ErrorCode, Event};
use thiserror::Error;
use wasm_bindgen::{JsCast as _, JsValue};
use weights::{ManifestError, WeightsError};

/// A request that failed.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The page sent something that is no request.
    #[error("the page sent a message that the engine does not know")]
    Message(#[source] serde_json::Error),
    /// The server could not be reached.
    #[error("{url} could not be fetched ({reason})")]
    Network {
        /// What was asked for.
        url: String,
        /// What the browser said.
        reason: String,
    },
    /// The server answered with an error.
    #[error("the server answered {status} to {url}")]
    Status {
        /// What was asked for.
        url: String,
        /// Its answer.
        status: u16,
    },
    /// The manifest is not one.
    #[error("the model's manifest is not usable")]
    Manifest(#[from] ManifestError),
    /// A range came wrong several times.
    #[error("part {part} of {parts} of the model arrived damaged {attempts} times")]
    Corrupt {
        /// Which range, from 1.
        part: usize,
        /// How many there are.
        parts: usize,
        /// How often it was asked for.
        attempts: u32,
    },
    /// The origin's private file system failed.
    #[error("the browser's storage failed: {0}")]
    Storage(String),
    /// The browser has no more room.
    #[error("the browser has no room for {0:.0} MB more")]
    Quota(f64),
    /// The GPU could not be had.
    #[error("the GPU could not be opened: {0}")]
    Device(String),
    /// A run was asked for before a model was there.
    #[error("no model is loaded yet")]
    NotLoaded,
    /// A second run while one goes on.
    #[error("another picture is still being made")]
    Busy,
    /// The init image's bytes do not fit its size.
    #[error("the start picture has {found} bytes, but {expected} are expected")]
    InitImage {
        /// Bytes that came.
        found: usize,
        /// Bytes that its size wants.
        expected: usize,
    },
    /// The model's file is not usable.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The model's file is not a whole model.
    #[error(transparent)]
    Files(#[from] ModelFilesError),
    /// The model does not fit its configuration.
    #[error(transparent)]
    Model(#[from] LoadModelError),
    /// A run failed.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A PNG could not be written.
    #[error(transparent)]
    Png(#[from] diffusion::picture::PngError),
}

impl EngineError {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::Network { .. } | Self::Status { .. } => ErrorCode::Network,
            Self::Corrupt { .. } => ErrorCode::Corrupt,
            Self::Quota(_) => ErrorCode::Quota,
            Self::Device(_) | Self::Generate(GenerateError::Device(_)) => ErrorCode::Device,
            Self::Manifest(_) | Self::Weights(_) | Self::Files(_) | Self::Model(_) => ErrorCode::Model,
            Self::NotLoaded | Self::Busy | Self::InitImage { .. } | Self::Generate(_) => ErrorCode::Request,
            Self::Message(_) | Self::Storage(_) | Self::Png(_) => ErrorCode::Internal,
        }
    }

    /// The event that tells the page.
    pub fn event(&self, run: Option<u32>) -> Event {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        let fatal = matches!(self, Self::Generate(GenerateError::Device(_)));
        Event::Error { run, code: self.code(), message, fatal }
    }
}

/// The event of a panic, whose kind is guessed from its words, which stay in the console; the worker is of no use afterwards.
pub fn panic_event(text: &str) -> Event {
    let lower = text.to_lowercase();
    let (code, message) =
        if lower.contains("alloc") || lower.contains("out of memory") || lower.contains("createbuffer") {
            (ErrorCode::Memory, "there was not enough memory")
        } else if ["device", "wgpu", "webgpu", "adapter"].iter().any(|word| lower.contains(word)) {
            (ErrorCode::Device, "the GPU failed")
        } else {
            (ErrorCode::Internal, "the engine stopped unexpectedly")
        };
    Event::Error { run: None, code, message: message.to_owned(), fatal: true }
}

/// What a JavaScript exception says.
pub fn reason(value: &JsValue) -> String {
    match value.dyn_ref::<js_sys::Error>() {
        Some(error) => format!("{}: {}", String::from(error.name()), String::from(error.message())),
        None => value
            .dyn_ref::<web_sys::DomException>()
            .map_or_else(|| format!("{value:?}"), |error| format!("{}: {}", error.name(), error.message())),
    }
}
