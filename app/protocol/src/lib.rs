//! Messages between the page and the engine's Web Worker.
//!
//! Both directions are plain serde values, sent with `postMessage` as objects `{ message, bytes? }`: `message` is the JSON text
//! of the value, `bytes` an `ArrayBuffer` that is *transferred*, never copied, when the message has pixels or a file. JSON
//! text is chosen over a structured object because both ends then share serde's one representation and a test can read it.

mod models;
mod wanted;

pub use models::{
    Adapter, Checked, Fetching, ModelCost, ModelDetails, ModelPart, Offer, PartProgress, ProbeReport, StoredModel,
};
pub use wanted::{HUB, Wanted, WantedError};

use serde::{Deserialize, Serialize};
use spec::{ClipSkip, GenerateSpec, Progress, Seed};

/// Field of the posted object that has the message's JSON text.
pub const MESSAGE_FIELD: &str = "message";
/// Field of the posted object that has the transferred bytes.
pub const BYTES_FIELD: &str = "bytes";

/// What the page asks of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Choose a device and load a model; answered by `device`, many `progress` and `ready`, or by `error`.
    Load {
        /// URL of the model's manifest.
        manifest_url: String,
        /// Which device the user wants.
        device: DeviceChoice,
    },
    /// Make pictures; the init image's RGBA bytes travel as the message's bytes.
    Generate {
        /// Identifies the run in every event about it.
        run: u32,
        /// What to make.
        spec: GenerateSpec,
        /// Parameters of the init image that travels along, if one does.
        init_image: Option<ImageInfo>,
    },
    /// Encode the prompts of a run that waits for the model, as soon as the text encoder is here; answered by nothing.
    Expect {
        /// What will be drawn.
        prompt: String,
        /// What to keep away from; empty for none.
        negative_prompt: String,
        /// Which text-encoder layer is used.
        clip_skip: ClipSkip,
    },
    /// Stop a run within one step.
    Cancel {
        /// The run to stop.
        run: u32,
    },
    /// Delete every stored byte of a model, of this visit or an earlier one; answered by `forgotten`.
    Forget {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// List what is stored; answered by `models`.
    Models,
    /// Find the models behind an address or a Hub name, without fetching them; answered by `found` or `model_failed`.
    Find {
        /// What the visitor wrote, as [`Wanted`] reads it.
        wanted: String,
        /// Where Hub names are looked up, without a slash at its end.
        hub: String,
    },
    /// Read a model's manifest and the header of its file, and nothing more of it; answered by `inspected`.
    Inspect {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// Fetch what is missing of a model without loading it; answered by many `fetching`, then `fetched`, `paused` or
    /// `model_failed`.
    Fetch {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// Stop fetching a model; what is verified stays. Answered by `paused`.
    Pause {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// Hash every stored range again and mark those that are damaged as missing; answered by `checking` and `checked`.
    Verify {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// Measure this device for about five seconds; answered by `probed`.
    Probe,
}

/// Which device to compute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// Whatever a short measurement finds faster.
    #[default]
    Auto,
    /// The GPU through WebGPU.
    Webgpu,
    /// The CPU backend.
    Cpu,
}

/// What the engine tells the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Which device was chosen, and why.
    Device(DeviceReport),
    /// Bytes of the model that are here.
    Download(Download),
    /// The model is loaded.
    Ready(ModelInfo),
    /// A step is done.
    Progress {
        /// The run.
        run: u32,
        /// Where it is.
        progress: Progress,
    },
    /// What the picture looks like so far; its RGBA bytes travel along.
    Preview {
        /// The run.
        run: u32,
        /// Which picture of the batch.
        index: u32,
        /// Its size.
        info: ImageInfo,
    },
    /// A finished picture; its PNG file travels along.
    Image {
        /// The run.
        run: u32,
        /// Which picture of the batch.
        index: u32,
        /// The seed that makes it again.
        seed: Seed,
        /// Its size.
        info: ImageInfo,
        /// The parameters as web UIs read them back; the PNG has the same text.
        parameters: String,
    },
    /// A run ended: everything asked for was made, or it was cancelled.
    Done {
        /// The run.
        run: u32,
        /// Whether it was stopped before its end.
        cancelled: bool,
        /// Wall time from request to now.
        seconds: f64,
        /// Bytes of the engine's wasm memory, its peak.
        wasm_memory_bytes: f64,
    },
    /// Something failed; the engine stays usable unless `fatal`.
    Error {
        /// The run it ended, or `None` when loading failed.
        run: Option<u32>,
        /// What kind of failure.
        code: ErrorCode,
        /// What was wrong, where, and what to do, in a sentence or two.
        message: String,
        /// The worker must be replaced (a lost device, an exhausted memory).
        fatal: bool,
    },
    /// What is stored, in the order of names.
    Models {
        /// The models.
        models: Vec<StoredModel>,
    },
    /// What is behind an address or a Hub name.
    Found {
        /// What was asked for.
        wanted: String,
        /// The models, at least one.
        offers: Vec<Offer>,
    },
    /// What a model is and takes.
    Inspected(Box<ModelDetails>),
    /// Where fetching a model stands.
    Fetching(Fetching),
    /// All of a model is stored and verified.
    Fetched {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// A model is not fetched any further until it is asked for again.
    Paused {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// Where verifying a model stands.
    Checking {
        /// URL of the model's manifest.
        manifest_url: String,
        /// Stored bytes that were hashed.
        bytes: f64,
        /// Stored bytes in all.
        of: f64,
    },
    /// Every stored range of a model was hashed.
    Checked(Checked),
    /// Nothing of a model is stored any more.
    Forgotten {
        /// URL of the model's manifest.
        manifest_url: String,
    },
    /// What this device was measured at.
    Probed(ProbeReport),
    /// What was asked about a model could not be done; what is verified stays.
    ModelFailed {
        /// URL of the model's manifest, or what was to be found; `None` when it was no single model.
        manifest_url: Option<String>,
        /// What kind of failure.
        code: ErrorCode,
        /// What was wrong, where, and what to do.
        message: String,
    },
}

/// Width and height of pixels that travel along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageInfo {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// The device that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// `webgpu` or `cpu`, never `auto`.
    pub device: DeviceChoice,
    /// The adapter as the browser names it, when there is one.
    pub adapter: Option<String>,
    /// Why this one, in a sentence for the user.
    pub reason: String,
    /// Whether the other device could be chosen too.
    pub other_available: bool,
    /// Measured speed in GFLOP/s of each device that was tried.
    pub measured: Vec<DeviceSpeed>,
}

/// One measurement of a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceSpeed {
    /// The device.
    pub device: DeviceChoice,
    /// Billions of operations a second on a small convolution.
    pub gflops: f64,
}

/// Where a download stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Download {
    /// Verified bytes that are stored here.
    pub bytes: f64,
    /// Bytes in all.
    pub of: f64,
    /// Bytes that came over the network in this visit.
    pub fetched: f64,
    /// Bytes per second of this visit's network part, once known.
    pub bytes_per_second: Option<f64>,
    /// Which attempt this is when a range had to be asked for again, else 1.
    pub attempt: u32,
}

/// What the page must know of a loaded model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Width and height it draws best.
    pub native_size: (u32, u32),
    /// Guidance it was tuned for.
    pub guidance: f32,
    /// Steps it was tuned for.
    pub steps: u32,
    /// Prompts to try, best first.
    pub examples: Vec<String>,
    /// Every word it knows, lower case; empty when it was trained on a whole language.
    pub known_words: Vec<String>,
    /// Bytes of its weights on the device.
    pub device_bytes: f64,
    /// Seconds from `load` to here.
    pub load_seconds: f64,
}

/// Kinds of failure that the page words or handles differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The network is away, or the server answered with an error.
    Network,
    /// A range's hash is not the manifest's.
    Corrupt,
    /// The browser has no more room for the model.
    Quota,
    /// The GPU was lost or could not be had.
    Device,
    /// An allocation failed.
    Memory,
    /// The request cannot be carried out as asked.
    Request,
    /// The model's files are wrong.
    Model,
    /// Anything else; a defect.
    Internal,
}
