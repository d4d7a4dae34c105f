//! What a job's computing and its reporting know of each other.

use diffusion::{picture::Picture, pipeline::CancelToken};
use spec::Progress;
use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Where a job is on this node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// Its inputs are fetched, or it waits for the device.
    Waiting,
    /// It is computed; `None` until the first report.
    Computing(Option<Progress>),
    /// Its pictures are encoded and uploaded.
    Finishing,
}

/// One job, seen from both sides; every method can be called from any thread.
#[derive(Debug)]
pub struct Watch {
    /// Stops its computing within one step.
    pub cancel: CancelToken,
    lease: Duration,
    heard: Mutex<Instant>,
    may_preview: bool,
    wants_previews: AtomicBool,
    stage: watch::Sender<Stage>,
    previews: Mutex<BTreeMap<u32, Picture>>,
}

/// What is locked here is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// A job whose lease of this length was given just now.
    pub fn new(lease: Duration, wants_previews: bool) -> Self {
        Self {
            cancel: CancelToken::default(),
            lease,
            heard: Mutex::new(Instant::now()),
            may_preview: true,
            wants_previews: AtomicBool::new(wants_previews),
            stage: watch::channel(Stage::Waiting).0,
            previews: Mutex::default(),
        }
    }

    /// A job whose pictures are for nobody's eyes until they are checked, so that it has no previews, whoever looks.
    pub fn unseen(lease: Duration) -> Self {
        Self { may_preview: false, ..Self::new(lease, false) }
    }

    /// How long the lease lasts after a report.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// The edge answered a report that was sent at `sent`.
    pub fn heard(&self, sent: Instant, wants_previews: bool) {
        let mut heard = lock(&self.heard);
        *heard = (*heard).max(sent);
        self.wants_previews.store(wants_previews, Ordering::Relaxed);
    }

    /// Whether the lease can still be alive.
    pub fn is_alive(&self) -> bool {
        lock(&self.heard).elapsed() < self.lease
    }

    /// Whether somebody looks at previews, and may.
    pub fn wants_previews(&self) -> bool {
        self.may_preview && self.wants_previews.load(Ordering::Relaxed)
    }

    /// Says where the job is now, and wakes who listens.
    pub fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Hears of every change from now on.
    pub fn listen(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Keeps a preview until it is sent, or until a newer one of the same picture replaces it.
    pub fn preview(&self, index: u32, picture: Picture) {
        lock(&self.previews).insert(index, picture);
    }

    /// The previews that were not sent yet.
    pub fn take_previews(&self) -> BTreeMap<u32, Picture> {
        mem::take(&mut *lock(&self.previews))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lives_from_the_sending_of_what_was_heard() {
        let watch = Watch::new(Duration::from_mins(1), false);
        assert!(watch.is_alive());
        watch.heard(Instant::now(), true);
        assert!(watch.is_alive() && watch.wants_previews());
        assert!(!Watch::new(Duration::ZERO, false).is_alive());
    }

    #[test]
    fn a_job_that_is_unseen_has_no_previews_whoever_looks() {
        let watch = Watch::unseen(Duration::from_mins(1));
        assert!(!watch.wants_previews());
        watch.heard(Instant::now(), true);
        assert!(!watch.wants_previews());
    }
}
