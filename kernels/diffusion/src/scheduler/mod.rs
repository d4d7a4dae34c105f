//! How noise is taken away: the field's schedulers by diffusers' definitions.
//!
//! Tables are plain `f64`; only a step's few sums and products run on the device, so that a scheduler costs nothing there.

mod config;
mod schedule;
mod table;

pub use config::SchedulerConfig;
pub use schedule::{Schedule, SchedulerError, StepOutput};
pub use table::NoiseTable;
