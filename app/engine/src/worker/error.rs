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
    /// A server elsewhere could not be reached, or does not let this page read from it.
    #[error(
        "{url} could not be fetched: the server is away, or it does not let other pages read from it (it must send \
         Access-Control-Allow-Origin)"
    )]
    Unreachable {
        /// What was asked for.
        url: String,
    },
    /// An address that a page of https may not fetch from.
    #[error(
        "{url} begins with http://, and a page that came over https:// may not fetch from there; use an https:// address"
    )]
    Insecure {
        /// What was asked for.
        url: String,
    },
    /// A page where a manifest was expected.
    #[error("{url} answers with a web page and not with a manifest; copy the address of the file itself")]
    WebPage {
        /// What was asked for.
        url: String,
    },
    /// A file without anything to verify it by.
    #[error(
        "there is no manifest beside {url}, so nothing could be verified; make one with `darkroom convert … --manifest` \
         and put it there as {url}.manifest.json"
    )]
    NoManifest {
        /// The file.
        url: String,
    },
    /// A server that sends whole files only.
    #[error(
        "the server of {url} does not answer range requests, which a model of this size needs; put the file elsewhere"
    )]
    NoRanges {
        /// The file.
        url: String,
    },
    /// A manifest that is not this file's.
    #[error(
        "the manifest says that {file} has {stated} bytes, but the server has {found}; the manifest is of another file, \
         so ask whoever put it there for the right one"
    )]
    OtherSize {
        /// The file.
        file: String,
        /// What the manifest says.
        stated: u64,
        /// What the server says.
        found: u64,
    },
    /// A whole file that is not what was promised.
    #[error(
        "{file} is here, but its SHA-256 is not the one that the Hub states, so none of it is used; fetch it again"
    )]
    OtherHash {
        /// The file.
        file: String,
    },
    /// What was written cannot be a model.
    #[error(transparent)]
    Wanted(#[from] protocol::WantedError),
    /// The Hub has no such repository.
    #[error("{hub} has no public model {repository}; look for a typing error in the name")]
    NoRepository {
        /// Its name.
        repository: String,
        /// Where it was looked up.
        hub: String,
    },
    /// The Hub's answer is not a list of files.
    #[error("{hub} did not answer with a list of files; is it a Hub?")]
    Hub {
        /// Where it was looked up.
        hub: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
    /// A repository whose models must be converted first.
    #[error(
        "{repository} has only {what}. Convert it first: download it, run `darkroom convert --model {name} --to gguf \
         --type q8_0 --out {name}-q8_0.gguf --manifest`, put both files where a web server serves them, and add the \
         address of the manifest"
    )]
    Unconverted {
        /// Its name.
        repository: String,
        /// The last part of its name.
        name: String,
        /// What it has.
        what: &'static str,
    },
    /// A repository without a model.
    #[error("{repository} has no model in it: neither GGUF nor safetensors")]
    NoModel {
        /// Its name.
        repository: String,
    },
    /// Fetching was stopped.
    #[error("stopped")]
    Stopped,
    /// Nothing of the model is stored.
    #[error("nothing of this model is stored")]
    NotStored,
    /// A file that can be verified only as a whole.
    #[error("{file} has one hash for all of it, so it is verified when its last byte is here; download the rest first")]
    NotWhole {
        /// The file.
        file: String,
    },
    /// Files that someone else has open.
    #[error("the model is in use, by another tab or because it is being loaded; try again when that is done")]
    InUse,
    /// The server answered with an error.
    #[error("the server answered {status} to {url}{}", advice(*.status))]
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
    /// A model that the CPU's memory does not hold.
    #[error(
        "its weights take {:.1} GB on the CPU, whose memory ends at 4 GB in a browser; choose WebGPU, or run it on the server",
        *bytes as f64 / 1e9
    )]
    TooLargeForCpu {
        /// Bytes in single precision.
        bytes: u64,
    },
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
    /// A configuration in the model's file is not usable.
    #[error(transparent)]
    Config(#[from] diffusion::config::ConfigError),
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
            Self::Network { .. } | Self::Unreachable { .. } | Self::Status { .. } | Self::NoRanges { .. } => {
                ErrorCode::Network
            }
            Self::Corrupt { .. } | Self::OtherHash { .. } => ErrorCode::Corrupt,
            Self::Quota(_) => ErrorCode::Quota,
            Self::TooLargeForCpu { .. } => ErrorCode::Memory,
            Self::Device(_) | Self::Generate(GenerateError::Device(_)) => ErrorCode::Device,
            Self::Manifest(_)
            | Self::WebPage { .. }
            | Self::OtherSize { .. }
            | Self::NoModel { .. }
            | Self::Unconverted { .. }
            | Self::Config(_)
            | Self::Weights(_)
            | Self::Files(_)
            | Self::Model(_) => ErrorCode::Model,
            Self::Insecure { .. }
            | Self::NoManifest { .. }
            | Self::Wanted(_)
            | Self::NoRepository { .. }
            | Self::Hub { .. }
            | Self::Stopped
            | Self::NotStored
            | Self::NotWhole { .. }
            | Self::InUse
            | Self::NotLoaded
            | Self::Busy
            | Self::InitImage { .. }
            | Self::Generate(_) => ErrorCode::Request,
            Self::Message(_) | Self::Storage(_) | Self::Png(_) => ErrorCode::Internal,
        }
    }

    /// The kind of failure, and what it is with all its causes.
    pub fn told(&self) -> (ErrorCode, String) {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        (self.code(), message)
    }

    /// The event that tells the page.
    pub fn event(&self, run: Option<u32>) -> Event {
        let (code, message) = self.told();
        let fatal = matches!(self, Self::Generate(GenerateError::Device(_)));
        Event::Error { run, code, message, fatal }
    }
}

/// What to do about a refusal, where that is not plain.
const fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "; it is not public",
        404 | 410 => "; there is no such file, so check the address",
        416 => "; the file is shorter than its manifest says",
        _ => "",
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
