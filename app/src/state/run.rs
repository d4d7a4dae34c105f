//! The run that goes on, or the last one.

use reactive_stores::Store;
use spec::Progress;

/// Where a run is, and what it came to.
#[derive(Debug, Default, Store)]
pub struct Run {
    /// Identifies it in every message about it.
    pub id: u32,
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
