//! Why a run ended early.

use crate::{prompt::PromptError, scheduler::SchedulerError};
use burn::tensor::ExecutionError;
use thiserror::Error;

/// A run that ended early.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// Someone asked it to.
    #[error("cancelled")]
    Cancelled,
    /// The schedule cannot be made.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The size does not fit the model.
    #[error("{width} x {height} does not fit this model: both sides must be multiples of {multiple}")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What both must be divisible by.
        multiple: u32,
    },
    /// A tensor that was handed in has the wrong shape.
    #[error("{name} must be {expected:?}, but is {found:?}")]
    Shape {
        /// Which one.
        name: &'static str,
        /// The shape it must have.
        expected: [usize; 4],
        /// The shape it has.
        found: [usize; 4],
    },
    /// A ControlNet of another family.
    #[error("the ControlNet does not fit this model: it was made for {found}, and the model has {expected}")]
    Control {
        /// What the model has.
        expected: String,
        /// What the ControlNet was made for.
        found: String,
    },
    /// A prompt cannot be followed.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A switch has a number that nothing can be made of.
    #[error("{what} is {value}, but must be between {min} and {max}")]
    Switch {
        /// Which number.
        what: &'static str,
        /// What was given.
        value: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
    /// Two things that exclude each other.
    #[error("{what} cannot be combined with {with}; leave one of them out")]
    Combination {
        /// The one.
        what: &'static str,
        /// The other.
        with: &'static str,
    },
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(ExecutionError),
}

impl From<ExecutionError> for GenerateError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error)
    }
}
