//! Figures for Prometheus, in its text format 0.0.4.
//!
//! Every label's values are a closed set that is written out from the start: no figure appears late, and none grows with what
//! users send.

use std::{
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How a lease can end.
pub const OUTCOMES: [&str; 5] = ["done", "failed", "refused", "handed_back", "lost"];
/// What time is spent on.
pub const PHASES: [&str; 5] = ["load", "text", "denoising", "decoding", "upload"];
/// Bounds of times in seconds, from a step of the demo model to a large picture on a CPU.
const SECONDS: [f64; 13] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];
/// Bounds of how many jobs run as one.
const JOBS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];

#[derive(Debug, Clone)]
struct Histogram {
    bounds: &'static [f64],
    /// How many fell under each bound but not under the one before, and at the end those above all.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn add(&mut self, value: f64) {
        let bucket = self.bounds.iter().position(|&bound| value <= bound).unwrap_or(self.bounds.len());
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// `label` is empty or ends with a comma.
    fn write(&self, text: &mut String, name: &str, label: &str) -> fmt::Result {
        let mut total = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            total += count;
            match self.bounds.get(bucket) {
                Some(bound) => writeln!(text, "{name}_bucket{{{label}le=\"{bound}\"}} {total}")?,
                None => writeln!(text, "{name}_bucket{{{label}le=\"+Inf\"}} {total}")?,
            }
        }
        let label = match label.strip_suffix(',') {
            Some(label) => format!("{{{label}}}"),
            None => String::new(),
        };
        writeln!(text, "{name}_sum{label} {}", self.sum)?;
        writeln!(text, "{name}_count{label} {total}")
    }
}

#[derive(Debug)]
struct Figures {
    jobs: [u64; OUTCOMES.len()],
    queue_wait: Histogram,
    phases: [Histogram; PHASES.len()],
    batch: Histogram,
    models: u64,
    model_bytes: u64,
    slots: u64,
    slots_busy: u64,
    edge_failures: u64,
}

/// What the node counts.
#[derive(Debug)]
pub struct Metrics(Mutex<Figures>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Mutex::new(Figures {
            jobs: [0; OUTCOMES.len()],
            queue_wait: Histogram::new(&SECONDS),
            phases: std::array::from_fn(|_| Histogram::new(&SECONDS)),
            batch: Histogram::new(&JOBS),
            models: 0,
            model_bytes: 0,
            slots: 0,
            slots_busy: 0,
            edge_failures: 0,
        }))
    }
}

impl Metrics {
    /// A thread that panicked between two figures has left both usable.
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease ended, with one of [`OUTCOMES`].
    pub fn job(&self, outcome: &str) {
        if let Some(at) = OUTCOMES.iter().position(|known| *known == outcome) {
            self.figures().jobs[at] += 1;
        }
    }

    /// A job waited this long for the device.
    pub fn queue_wait(&self, seconds: f64) {
        self.figures().queue_wait.add(seconds);
    }

    /// One of [`PHASES`] took this long.
    pub fn phase(&self, phase: &str, seconds: f64) {
        if let Some(at) = PHASES.iter().position(|known| *known == phase) {
            self.figures().phases[at].add(seconds);
        }
    }

    /// So many jobs ran as one.
    pub fn batch(&self, jobs: usize) {
        self.figures().batch.add(jobs as f64);
    }

    /// So many models are loaded, and take so many bytes.
    pub fn models(&self, count: u64, bytes: u64) {
        let mut figures = self.figures();
        figures.models = count;
        figures.model_bytes = bytes;
    }

    /// So many of the slots are taken.
    pub fn slots(&self, busy: usize, all: usize) {
        let mut figures = self.figures();
        figures.slots_busy = busy as u64;
        figures.slots = all as u64;
    }

    /// Asking the edge for work failed.
    pub fn edge_failure(&self) {
        self.figures().edge_failures += 1;
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        self.write(&mut text).ok();
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let figures = self.figures();
        let Figures { jobs, queue_wait, phases, batch, models, model_bytes, slots, slots_busy, edge_failures } =
            &*figures;
        head(text, "darkroom_jobs_total", "counter", "Leases by how they ended.")?;
        for (outcome, count) in OUTCOMES.iter().zip(jobs) {
            writeln!(text, "darkroom_jobs_total{{outcome=\"{outcome}\"}} {count}")?;
        }
        head(text, "darkroom_queue_wait_seconds", "histogram", "Time that a job waits for the device.")?;
        queue_wait.write(text, "darkroom_queue_wait_seconds", "")?;
        head(text, "darkroom_phase_seconds", "histogram", "Time that each phase takes.")?;
        for (phase, histogram) in PHASES.iter().zip(phases) {
            histogram.write(text, "darkroom_phase_seconds", &format!("phase=\"{phase}\","))?;
        }
        head(text, "darkroom_batch_jobs", "histogram", "Jobs that run as one.")?;
        batch.write(text, "darkroom_batch_jobs", "")?;
        for (name, help, value) in [
            ("darkroom_models_loaded", "Models in memory.", models),
            ("darkroom_model_memory_bytes", "Memory that their weights take.", model_bytes),
            ("darkroom_slots", "Jobs that are worked on at a time.", slots),
            ("darkroom_slots_busy", "Jobs that are worked on now.", slots_busy),
        ] {
            head(text, name, "gauge", help)?;
            writeln!(text, "{name} {value}")?;
        }
        head(text, "darkroom_edge_failures_total", "counter", "Times that the edge could not be asked for work.")?;
        writeln!(text, "darkroom_edge_failures_total {edge_failures}")
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_count_upwards_and_labels_are_closed() {
        let metrics = Metrics::default();
        for seconds in [0.001, 0.3, 0.3, 1e9] {
            metrics.phase("denoising", seconds);
        }
        metrics.phase("a word that nobody foresaw", 1.0);
        metrics.job("done");
        metrics.job("a word that nobody foresaw");
        let text = metrics.text();
        let has = |line: &str| assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        has("darkroom_phase_seconds_bucket{phase=\"denoising\",le=\"0.005\"} 1");
        has("darkroom_phase_seconds_bucket{phase=\"denoising\",le=\"0.5\"} 3");
        has("darkroom_phase_seconds_bucket{phase=\"denoising\",le=\"+Inf\"} 4");
        has("darkroom_phase_seconds_count{phase=\"denoising\"} 4");
        has("darkroom_queue_wait_seconds_count 0");
        has("darkroom_jobs_total{outcome=\"done\"} 1");
        assert!(!text.contains("foresaw"));
    }
}
