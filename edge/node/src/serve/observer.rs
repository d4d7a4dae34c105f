//! Listens to a run of several jobs.

use super::{
    metrics::Metrics,
    watch::{Stage, Watch},
};
use diffusion::{
    picture::Picture,
    pipeline::{CancelToken, Observer},
};
use spec::{Phase, Progress};
use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

/// Previews cost a decoding each, so there is this much time between them.
const BETWEEN_PREVIEWS: Duration = Duration::from_millis(500);

/// Tells every job of a run how far it is, and stops the run when no job wants it any more.
pub struct BatchObserver {
    jobs: Vec<(Arc<Watch>, u32)>,
    cancel: CancelToken,
    metrics: Arc<Metrics>,
    phase: Option<(Phase, Instant)>,
    previewed: Cell<Option<Instant>>,
}

impl BatchObserver {
    /// Jobs with the number of pictures of each, in the order of the run.
    pub const fn new(jobs: Vec<(Arc<Watch>, u32)>, cancel: CancelToken, metrics: Arc<Metrics>) -> Self {
        Self { jobs, cancel, metrics, phase: None, previewed: Cell::new(None) }
    }

    /// Models are looked for.
    pub fn loading(&mut self) {
        self.progress(Progress { phase: Phase::Loading, step: 0, of: 1, seconds_per_step: None, eta_seconds: None });
    }

    /// Counts a phase's time when the next one begins; loading is counted where it happens, since it mostly does not.
    fn enter(&mut self, phase: Phase) {
        if let Some((before, started)) = self.phase
            && before != phase
            && before != Phase::Loading
        {
            self.metrics.phase(before.as_str(), started.elapsed().as_secs_f64());
        }
        if self.phase.is_none_or(|(before, _)| before != phase) {
            self.phase = Some((phase, Instant::now()));
        }
    }
}

impl Drop for BatchObserver {
    fn drop(&mut self) {
        // The last phase has no next one.
        self.enter(Phase::Loading);
    }
}

impl Observer for BatchObserver {
    fn progress(&mut self, progress: Progress) {
        self.enter(progress.phase);
        let mut is_wanted = false;
        for (watch, _) in &self.jobs {
            watch.enter(Stage::Computing(Some(progress)));
            is_wanted |= !watch.cancel.is_cancelled();
        }
        if !is_wanted {
            self.cancel.cancel();
        }
    }

    fn wants_preview(&self, _step: u32, _of: u32) -> bool {
        let is_time = self.previewed.get().is_none_or(|last| last.elapsed() >= BETWEEN_PREVIEWS);
        let is_wanted = is_time && self.jobs.iter().any(|(watch, _)| watch.wants_previews());
        if is_wanted {
            self.previewed.set(Some(Instant::now()));
        }
        is_wanted
    }

    fn preview(&mut self, index: u32, picture: Picture) {
        let mut first = 0;
        for (watch, pictures) in &self.jobs {
            if (first..first + pictures).contains(&index) {
                if watch.wants_previews() {
                    watch.preview(index - first, picture);
                }
                return;
            }
            first += pictures;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_reach_the_job_whose_pictures_they_are_and_only_who_looks() {
        let watch = |looks| Arc::new(Watch::new(Duration::from_secs(1), looks));
        let (first, second) = (watch(false), watch(true));
        let jobs = vec![(Arc::clone(&first), 2), (Arc::clone(&second), 2)];
        let mut observer = BatchObserver::new(jobs, CancelToken::default(), Arc::default());
        assert!(observer.wants_preview(1, 4));
        assert!(!observer.wants_preview(2, 4), "the next one comes later");
        for index in 0..4 {
            observer.preview(index, Picture { width: 1, height: 1, rgb: vec![index as u8; 3] });
        }
        assert!(first.take_previews().is_empty());
        let seen: Vec<_> = second.take_previews().into_iter().map(|(index, picture)| (index, picture.rgb[0])).collect();
        assert_eq!(seen, [(0, 2), (1, 3)]);
    }

    #[test]
    fn a_job_that_is_unseen_gets_no_preview_of_a_run_that_it_shares() {
        let (unseen, seen) =
            (Arc::new(Watch::unseen(Duration::from_mins(1))), Arc::new(Watch::new(Duration::from_mins(1), true)));
        unseen.heard(Instant::now(), true);
        let jobs = vec![(Arc::clone(&unseen), 1)];
        assert!(!BatchObserver::new(jobs, CancelToken::default(), Arc::default()).wants_preview(1, 4));
        let jobs = vec![(Arc::clone(&unseen), 1), (Arc::clone(&seen), 1)];
        let mut observer = BatchObserver::new(jobs, CancelToken::default(), Arc::default());
        for index in 0..2 {
            observer.preview(index, Picture { width: 1, height: 1, rgb: vec![0; 3] });
        }
        assert_eq!((unseen.take_previews().len(), seen.take_previews().len()), (0, 1));
    }
}
