//! What the progress line says.

use crate::{
    state::Remote,
    words::{about, bytes, seconds},
};
use protocol::Download;
use spec::{Phase, Progress};

/// A progress line in words and as a share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProgressWords {
    /// What goes on.
    pub headline: String,
    /// Figures, most wanted first.
    pub details: Vec<String>,
    /// Share that is done, 0 to 1; `None` while nobody knows.
    pub share: Option<f64>,
}

impl ProgressWords {
    /// A line without figures.
    pub fn plain(headline: impl Into<String>) -> Self {
        Self { headline: headline.into(), ..Self::default() }
    }

    /// Everything as one sentence.
    pub fn spoken(&self) -> String {
        let mut parts = vec![self.headline.as_str()];
        parts.extend(self.details.iter().map(String::as_str));
        parts.join(", ")
    }
}

/// Words for a model that is being fetched or read from storage.
pub fn loading(download: &Download) -> ProgressWords {
    let Download { bytes: here, of, fetched, bytes_per_second, attempt } = *download;
    let left = (of - here).max(0.0);
    let kept = (here - fetched).max(0.0);
    let headline = match (fetched > 0.0, left > 0.0) {
        (_, false) => "Preparing the model",
        (true, true) => "Fetching the model",
        (false, true) => "Opening the model",
    };
    let mut details = vec![format!("{} of {}", bytes(here), bytes(of))];
    if let Some(speed) = bytes_per_second.filter(|&speed| speed > 0.0 && fetched > 0.0 && left > 0.0) {
        details.push(format!("{}/s", bytes(speed)));
        details.push(format!("about {} left", seconds(left / speed)));
    }
    if kept > 0.0 {
        let all = left <= 0.0 && fetched <= 0.0;
        details.push(if all {
            "all of it was already in this browser".to_owned()
        } else {
            format!("resumed, {} were already in this browser", bytes(kept))
        });
    }
    if attempt > 1 && left > 0.0 {
        details.push(format!("attempt {attempt}"));
    }
    ProgressWords { headline: headline.to_owned(), details, share: (of > 0.0).then(|| (here / of).clamp(0.0, 1.0)) }
}

/// Words for a run of `pictures`, `finished` of which are done.
pub fn running(progress: Option<&Progress>, finished: u32, pictures: u32) -> ProgressWords {
    let Some(progress) = progress else { return ProgressWords::plain("Starting the run") };
    let Progress { phase, step, of, seconds_per_step, eta_seconds } = *progress;
    let headline = match phase {
        Phase::Loading => "Preparing the model",
        Phase::Text => "Reading the prompt",
        Phase::Denoising => "Developing",
        Phase::Decoding => "Fixing the picture",
    };
    let mut details = Vec::new();
    if of > 1 || phase == Phase::Denoising {
        details.push(format!("step {step} of {of}"));
    }
    if pictures > 1 {
        details.push(format!("{finished} of {pictures} pictures done"));
    }
    if let Some(step_seconds) = seconds_per_step {
        details.push(format!("{} per step", seconds(step_seconds)));
    }
    if let Some(eta) = eta_seconds.filter(|&eta| eta >= 0.05) {
        details.push(format!("about {} left", seconds(eta)));
    }
    let share = (of > 0 && phase != Phase::Text).then(|| f64::from(step) / f64::from(of));
    ProgressWords { headline: headline.to_owned(), details, share }
}

/// Words for a run on the server.
pub fn remote(remote: Remote, progress: Option<&Progress>, finished: u32, pictures: u32) -> ProgressWords {
    match remote {
        Remote::Sending => ProgressWords::plain("Asking the server"),
        Remote::Waiting { position, eta_seconds } => {
            let mut words = ProgressWords::plain("Waiting for a free node");
            words.details.extend(position.filter(|&jobs| jobs > 0).map(|jobs| match jobs {
                1 => "1 job before this one".to_owned(),
                jobs => format!("{jobs} jobs before this one"),
            }));
            words.details.extend(eta_seconds.map(|eta| format!("done in {}", about(eta))));
            words
        }
        Remote::Working => {
            let mut words = running(progress, finished, pictures);
            words.details.push("on the server".to_owned());
            words
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_download_says_so() {
        let download = Download { bytes: 6e6, of: 12e6, fetched: 2e6, bytes_per_second: Some(3e6), attempt: 2 };
        let words = loading(&download);
        assert_eq!(
            words.spoken(),
            "Fetching the model, 6.0 MB of 12.0 MB, 3.0 MB/s, about 2.0 s left, \
             resumed, 4.0 MB were already in this browser, attempt 2"
        );
        assert_eq!(words.share, Some(0.5));
    }

    #[test]
    fn a_stored_model_fetches_nothing() {
        let download = Download { bytes: 12e6, of: 12e6, fetched: 0.0, bytes_per_second: None, attempt: 1 };
        assert_eq!(
            loading(&download).spoken(),
            "Preparing the model, 12.0 MB of 12.0 MB, all of it was already in this browser"
        );
    }

    #[test]
    fn a_run_tells_step_speed_and_time_left() {
        let progress = Progress {
            phase: Phase::Denoising,
            step: 3,
            of: 20,
            seconds_per_step: Some(0.25),
            eta_seconds: Some(4.25),
        };
        assert_eq!(
            running(Some(&progress), 1, 2).spoken(),
            "Developing, step 3 of 20, 1 of 2 pictures done, 250 ms per step, about 4.2 s left"
        );
        assert_eq!(running(None, 0, 1).share, None);
    }

    #[test]
    fn a_run_on_the_server_tells_what_it_waits_for() {
        let waiting = Remote::Waiting { position: Some(2), eta_seconds: Some(4.2) };
        assert_eq!(
            remote(waiting, None, 0, 1).spoken(),
            "Waiting for a free node, 2 jobs before this one, done in about 4 s"
        );
        let first = Remote::Waiting { position: Some(0), eta_seconds: None };
        assert_eq!(remote(first, None, 0, 1).spoken(), "Waiting for a free node");
        assert!(remote(Remote::Working, None, 0, 1).spoken().ends_with("on the server"));
    }
}
