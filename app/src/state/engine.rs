//! What the page knows of its engine.

use crate::pace::Pace;
use protocol::{DeviceChoice, DeviceReport, Download, ModelInfo};
use reactive_stores::Store;

/// The engine, its device and its model.
#[derive(Debug, Default, Store)]
pub struct Engine {
    /// Where it is.
    pub status: Status,
    /// The device that the user wants.
    pub choice: DeviceChoice,
    /// URL of the manifest of the model that draws.
    pub manifest_url: String,
    /// The device that is used.
    pub device: Option<DeviceReport>,
    /// Where the model's download stands.
    pub download: Option<Download>,
    /// The loaded model.
    pub model: Option<ModelInfo>,
    /// How fast its last run was.
    pub pace: Option<Pace>,
    /// A run was asked for before the model was loaded.
    pub run_when_ready: bool,
    /// Loading stopped because the network is away.
    pub waits_for_network: bool,
}

/// Where the engine is; the word in `data-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Its worker is being started.
    #[default]
    Starting,
    /// It measures the devices and loads the model.
    Loading,
    /// It waits for a run.
    Ready,
    /// It makes pictures.
    Running,
    /// It has no model, and the user must do something.
    Error,
}

impl Status {
    /// The word in `data-state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Error => "error",
        }
    }
}
