//! Whether a picture is fit for work.
//!
//! Everything here fails closed: a picture is let through by a score below the threshold and by nothing else, so that a checker
//! that breaks, talks nonsense or hangs flags whatever it is shown.

use super::log;
use diffusion::picture::Picture;
use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{task::spawn_blocking, time::timeout};

/// Longest that a check may take.
pub const LONGEST_CHECK: Duration = Duration::from_mins(1);

/// Judges pictures; shared by all jobs.
pub trait Checker: Send + Sync {
    /// How sure it is that the picture is not fit for work, 0 to 1.
    ///
    /// # Errors
    /// [`CheckError`] where it cannot judge.
    fn score(&self, picture: &Picture) -> Result<f32, CheckError>;
}

/// Why a picture was not judged.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The network could not be run.
    #[error("the checker's network failed")]
    Network(#[from] Box<dyn Error + Send + Sync>),
    /// The score means nothing.
    #[error("the checker's score {0} is not between 0 and 1")]
    Score(f32),
    /// It panicked.
    #[error("the checker broke off")]
    Panicked,
    /// It may still be at work, on a thread that nobody waits for.
    #[error("the checker took longer than {} seconds", .0.as_secs_f32())]
    TooSlow(Duration),
}

/// Whether the last check failed, so that a checker that is broken is logged once and not for every picture.
static IS_FAILING: AtomicBool = AtomicBool::new(false);

/// Whether the picture scores `threshold` or more, or could not be judged.
pub fn is_flagged(checker: &dyn Checker, picture: &Picture, threshold: f32) -> bool {
    match score(checker, picture) {
        Ok(score) => {
            if IS_FAILING.swap(false, Ordering::Relaxed) {
                log::info("the checker judges again", &[]);
            }
            // A threshold that is no number lets nothing through either.
            threshold.is_nan() || score >= threshold
        }
        Err(error) => flagged_for_want_of_a_judgement(error),
    }
}

/// The same for jobs, beside their reports; a picture that is not judged within `longest` is flagged.
pub async fn is_flagged_in_time(
    checker: Arc<dyn Checker>,
    picture: Arc<Picture>,
    threshold: f32,
    longest: Duration,
) -> bool {
    match timeout(longest, spawn_blocking(move || is_flagged(&*checker, &picture, threshold))).await {
        Ok(Ok(is_flagged)) => is_flagged,
        Ok(Err(_)) => flagged_for_want_of_a_judgement(CheckError::Panicked),
        Err(_) => flagged_for_want_of_a_judgement(CheckError::TooSlow(longest)),
    }
}

fn score(checker: &dyn Checker, picture: &Picture) -> Result<f32, CheckError> {
    // What a panic leaves half done is the checker's own, and at worst flags the next picture.
    let judged = catch_unwind(AssertUnwindSafe(|| checker.score(picture)));
    let score = judged.map_err(|_| CheckError::Panicked)??;
    if (0.0..=1.0).contains(&score) { Ok(score) } else { Err(CheckError::Score(score)) }
}

fn flagged_for_want_of_a_judgement(error: CheckError) -> bool {
    if !IS_FAILING.swap(true, Ordering::Relaxed) {
        let why = format!("{:#}", anyhow::Error::from(error));
        log::error("a check failed, so the picture counts as flagged", &[("why", why.into())]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::atomic::AtomicUsize, thread::sleep};

    /// Fails in another way every time.
    #[derive(Default)]
    struct Broken(AtomicUsize);

    impl Checker for Broken {
        fn score(&self, _picture: &Picture) -> Result<f32, CheckError> {
            match self.0.fetch_add(1, Ordering::Relaxed) % 8 {
                0 => Err(CheckError::Network("out of memory".into())),
                1 => Ok(f32::NAN),
                2 => Ok(f32::INFINITY),
                3 => Ok(f32::NEG_INFINITY),
                4 => Ok(-0.01),
                5 => Ok(1.01),
                6 => panic!("asked to"),
                _ => Err(CheckError::Score(0.0)),
            }
        }
    }

    /// Takes its time, and its red for the score.
    struct Red(Duration);

    impl Checker for Red {
        fn score(&self, picture: &Picture) -> Result<f32, CheckError> {
            sleep(self.0);
            Ok(f32::from(picture.rgb[0]) / 255.0)
        }
    }

    fn pixel(red: u8) -> Picture {
        Picture { width: 1, height: 1, rgb: vec![red, 0, 0] }
    }

    #[test]
    fn whatever_goes_wrong_flags_the_picture() {
        let broken = Broken::default();
        for picture in 0..10_000 {
            // Nothing is above this threshold, so that only the fault can flag.
            assert!(is_flagged(&broken, &pixel(picture as u8), 2.0), "picture {picture}");
        }
        assert_eq!(broken.0.into_inner(), 10_000);
    }

    #[test]
    fn a_judgement_flags_from_the_threshold_on() {
        let red = Red(Duration::ZERO);
        for (score, threshold, expected) in
            [(0, 0.5, false), (50, 0.2, false), (51, 0.2, true), (52, 0.2, true), (255, 1.0, true), (0, 0.0, true)]
        {
            assert_eq!(is_flagged(&red, &pixel(score), threshold), expected, "{score} at {threshold}");
        }
        assert!(is_flagged(&red, &pixel(0), f32::NAN));
    }

    #[tokio::test]
    async fn a_check_that_hangs_flags_the_picture() {
        let judged = |checker: Arc<dyn Checker>, longest| is_flagged_in_time(checker, Arc::new(pixel(0)), 0.5, longest);
        assert!(judged(Arc::new(Red(Duration::from_millis(500))), Duration::from_millis(20)).await);
        assert!(!judged(Arc::new(Red(Duration::ZERO)), LONGEST_CHECK).await);
        assert!(judged(Arc::new(Broken(AtomicUsize::new(6))), LONGEST_CHECK).await, "it panics");
    }
}
