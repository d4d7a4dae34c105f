//! The end: no new work, and what is left is finished or handed back.

use super::{
    health::Health,
    log,
    watch::{Stage, Watch},
};
use anyhow::{Context as _, Result};
use spec::Progress;
use std::{
    process,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{select, sync::watch, time::sleep_until};

/// Work that takes longer than this is handed back; the rest of the half minute is for saying so.
const GRACE: Duration = Duration::from_secs(24);
/// When the program ends, whatever could not be said by then.
const END: Duration = Duration::from_secs(29);
/// What a shell calls a program that Ctrl-C ended.
const STOPPED: i32 = 130;

/// Whether the node is ending, and until when work may go on.
#[derive(Debug, Clone)]
pub struct Drain(watch::Receiver<Option<Instant>>);

impl Drain {
    /// Ends with the first SIGTERM or SIGINT; the second stops the program at once.
    pub fn on_signals(health: Arc<Health>) -> Result<Self> {
        let (begin, begun) = watch::channel(None);
        let mut signals = Signals::new().context("could not listen for signals")?;
        tokio::spawn(async move {
            signals.next().await;
            log::info("draining: no new work, and at most half a minute for what is left", &[]);
            health.drain();
            begin.send_replace(Some(Instant::now() + GRACE));
            signals.next().await;
            log::warn("stopped at once", &[]);
            process::exit(STOPPED);
        });
        Ok(Self(begun))
    }

    /// Whether it began.
    pub fn is_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for it to begin, and says until when work may go on.
    pub async fn begun(&self) -> Instant {
        let mut begun = self.0.clone();
        loop {
            if let Some(until) = *begun.borrow_and_update() {
                return until;
            }
            if begun.changed().await.is_err() {
                // Without anyone to begin it, it never does.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the program must end, long after it began to.
    pub async fn over(&self) {
        let until = self.begun().await;
        sleep_until((until + END.saturating_sub(GRACE)).into()).await;
    }

    /// Waits until a job should be handed back: it has not begun when draining does, or will not be over in time.
    pub async fn hands_back(&self, watch: &Watch) {
        let until = self.begun().await;
        let mut stages = watch.listen();
        loop {
            if !is_in_time(*stages.borrow_and_update(), until.saturating_duration_since(Instant::now())) {
                return;
            }
            select! {
                changed = stages.changed() => if changed.is_err() { return },
                () = sleep_until(until.into()) => return,
            }
        }
    }
}

/// Whether a job can be over in `left`, as far as it is known.
fn is_in_time(stage: Stage, left: Duration) -> bool {
    match stage {
        Stage::Waiting => false,
        Stage::Computing(Some(Progress { eta_seconds: Some(seconds), .. })) => seconds < left.as_secs_f64(),
        Stage::Computing(_) | Stage::Finishing => !left.is_zero(),
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        tokio::signal::ctrl_c().await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::Phase;

    #[test]
    fn only_what_can_be_over_in_time_goes_on() {
        let left = Duration::from_secs(20);
        let step = |eta_seconds| {
            let progress =
                Progress { phase: Phase::Denoising, step: 1, of: 20, seconds_per_step: eta_seconds, eta_seconds };
            Stage::Computing(Some(progress))
        };
        assert!(!is_in_time(Stage::Waiting, left));
        assert!(
            is_in_time(Stage::Computing(None), left)
                && is_in_time(step(None), left)
                && is_in_time(step(Some(3.0)), left)
        );
        assert!(!is_in_time(step(Some(30.0)), left));
        assert!(is_in_time(Stage::Finishing, left) && !is_in_time(Stage::Finishing, Duration::ZERO));
    }

    #[tokio::test]
    async fn a_job_that_runs_is_handed_back_when_it_turns_out_too_long() {
        let (begin, begun) = watch::channel(None);
        let drain = Drain(begun);
        assert!(!drain.is_begun());
        let job = Watch::new(Duration::from_mins(1), false);
        job.enter(Stage::Computing(None));
        begin.send_replace(Some(Instant::now() + Duration::from_hours(1)));
        let progress =
            Progress { phase: Phase::Denoising, step: 1, of: 9, seconds_per_step: Some(1e6), eta_seconds: Some(8e6) };
        let slow = async {
            tokio::task::yield_now().await;
            job.enter(Stage::Computing(Some(progress)));
            std::future::pending::<()>().await;
        };
        select! {
            () = drain.hands_back(&job) => {}
            () = slow => {}
        }
        assert!(drain.is_begun());
    }
}
