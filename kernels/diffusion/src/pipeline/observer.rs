//! Who listens to a run, and who stops it.

use crate::picture::Picture;
use spec::Progress;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Listens to a run; every method has a default that does nothing.
pub trait Observer {
    /// A phase began or a step is done.
    fn progress(&mut self, _progress: Progress) {}

    /// Whether a preview is wanted after step `step` of `of`, counted from 1.
    fn wants_preview(&self, _step: u32, _of: u32) -> bool {
        false
    }

    /// What picture `index` of the batch looks like so far.
    fn preview(&mut self, _index: u32, _picture: Picture) {}

    /// Lets the rest of the program run; in a browser's worker this is where a cancel message arrives.
    fn pause(&mut self) -> impl Future<Output = ()> {
        std::future::ready(())
    }
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Stops a run within one step, from anywhere.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl From<Arc<AtomicBool>> for CancelToken {
    /// A token that a signal handler sets.
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl CancelToken {
    /// Asks the run to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
