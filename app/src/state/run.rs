//! The run that goes on, or the last one.

use reactive_stores::Store;
use serde::{Deserialize, Serialize};
use spec::Progress;

/// Where a run is, and what it came to.
#[derive(Debug, Default, Store)]
pub struct Run {
    /// Identifies it in every message about it.
    pub id: u32,
    /// Where a run on the server is; `None` while there is none.
    pub remote: Option<Remote>,
    /// The last report.
    pub progress: Option<Progress>,
    /// Pictures that were asked for.
    pub pictures: u32,
    /// Pictures that are done.
    pub finished: u32,
    /// The user wants it to stop.
    pub cancelling: bool,
    /// Wall time of the last run that ended.
    pub seconds: Option<f64>,
    /// Peak of the engine's wasm memory in bytes, once a run ended.
    pub wasm_memory_bytes: Option<f64>,
    /// The gallery's picture on the stage.
    pub shown: Option<u64>,
    /// The stage has a preview or a picture.
    pub has_plate: bool,
}

/// Where a picture is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In this page, on the visitor's own machine.
    #[default]
    Here,
    /// On a node behind the edge.
    Server,
}

/// Where a run on the server is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Remote {
    /// The request is on its way.
    Sending,
    /// No node has begun yet.
    Waiting {
        /// Jobs before it, if the server said so.
        position: Option<u64>,
        /// Seconds until it is done, as far as the server can tell.
        eta_seconds: Option<f64>,
    },
    /// A node works on it.
    Working,
}
