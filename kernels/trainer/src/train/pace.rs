//! How far a stage is, and when it saves and reports.

use super::{TrainLength, TrainOptions};
use crate::{Report, checkpoint::State};
use std::time::Instant;

/// A stage's clock.
pub struct Pace<'a> {
    stage: &'static str,
    length: TrainLength,
    batch: usize,
    /// Where the stage is.
    pub state: State,
    first_step: u64,
    started: Instant,
    before: f64,
    reported: Instant,
    saved: Instant,
    options: &'a TrainOptions,
}

impl<'a> Pace<'a> {
    /// A clock that goes on where `state` was.
    pub fn new(
        options: &'a TrainOptions,
        stage: &'static str,
        length: TrainLength,
        batch: usize,
        state: State,
    ) -> Self {
        let now = Instant::now();
        let (first_step, before) = (state.step, state.seconds);
        Self { stage, length, batch, state, first_step, started: now, before, reported: now, saved: now, options }
    }

    /// The share that is done, 0 to 1.
    pub fn done(&self) -> f64 {
        match self.length {
            TrainLength::Minutes(minutes) => self.state.seconds / (minutes * 60.0).max(1e-9),
            TrainLength::Steps(steps) => self.state.step as f64 / steps.max(1) as f64,
        }
    }

    /// Whether the stage, or this sitting, is over.
    pub fn is_over(&self) -> bool {
        self.done() >= 1.0 || self.options.cancel.is_cancelled()
    }

    /// Counts a step.
    pub fn step(&mut self, loss: f64, report: &mut dyn FnMut(Report)) {
        let State { step, loss: mean, .. } = &mut self.state;
        let share = (1.0 / (*step as f64 + 1.0)).max(0.02);
        // A step that was left out for its scale has no loss.
        if loss.is_finite() {
            *mean += (loss - *mean) * share;
        }
        *step += 1;
        let elapsed = self.started.elapsed().as_secs_f64();
        self.state.seconds = self.before + elapsed;
        if self.reported.elapsed() >= self.options.report_every || self.is_over() {
            self.reported = Instant::now();
            let taken = (self.state.step - self.first_step) as f64;
            report(Report {
                stage: self.stage,
                step: self.state.step,
                loss: self.state.loss,
                samples_per_second: taken * self.batch as f64 / elapsed.max(1e-9),
                eta_seconds: match self.length {
                    TrainLength::Minutes(minutes) => (minutes * 60.0 - self.state.seconds).max(0.0),
                    TrainLength::Steps(steps) => {
                        elapsed / taken.max(1.0) * steps.saturating_sub(self.state.step) as f64
                    }
                },
            });
        }
    }

    /// Whether it is time to save.
    pub fn wants_save(&mut self) -> bool {
        let due = self.saved.elapsed() >= self.options.save_every || self.is_over();
        if due {
            self.saved = Instant::now();
        }
        due
    }
}
