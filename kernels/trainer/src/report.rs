//! What a run says while it goes on.

/// One line of progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// `autoencoder`, `taesd`, `words` or `denoiser`.
    pub stage: &'static str,
    /// Steps taken.
    pub step: u64,
    /// Mean loss of the last steps.
    pub loss: f64,
    /// Samples per second since the start of this sitting.
    pub samples_per_second: f64,
    /// Seconds until the stage ends.
    pub eta_seconds: f64,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stage, step, loss, samples_per_second, eta_seconds } = self;
        let (minutes, seconds) = ((eta_seconds / 60.0) as u64, eta_seconds % 60.0);
        write!(f, "{stage} step {step} loss {loss:.5} {samples_per_second:.1} samples/s ETA {minutes}:{seconds:02.0}")
    }
}
