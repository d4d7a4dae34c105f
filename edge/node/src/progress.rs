//! The progress bar.

use diffusion::pipeline::Observer;
use indicatif::{ProgressBar, ProgressStyle};
use spec::{Phase, Progress};
use std::time::Duration;

const STEPS: &str = "{prefix:>9} {bar:30} {pos}/{len} {msg}";
const SPINNER: &str = "{prefix:>9} {spinner}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}

/// Turns while a model is loaded; nothing where standard error is no terminal.
pub fn loading() -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_style(style(SPINNER)).with_prefix(Phase::Loading.as_str());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar of `of` items for work that is more than one run.
pub fn counting(what: &'static str, of: u64) -> ProgressBar {
    ProgressBar::new(of).with_style(style("{prefix:>9} {bar:30} {pos}/{len} {eta} left")).with_prefix(what)
}

/// Shows a run's phase, step, time a step takes and time that is left.
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar for one run; nothing is shown where standard error is no terminal.
    pub fn new() -> Self {
        Self { bar: ProgressBar::new(1).with_style(style(STEPS)) }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Bar {
    fn progress(&mut self, progress: Progress) {
        let Progress { phase, step, of, seconds_per_step, eta_seconds } = progress;
        self.bar.set_prefix(phase.as_str());
        self.bar.set_length(of.into());
        self.bar.set_position(step.into());
        self.bar.set_message(match (seconds_per_step, eta_seconds) {
            (Some(each), Some(left)) => format!("{each:.2} s/step, {left:.0} s left"),
            _ => String::new(),
        });
    }
}
