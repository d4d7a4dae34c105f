//! What stands between a finished picture and its owner where pictures must be checked.

use super::{
    blocking::blocking,
    censor::censored,
    checker::{Checker, LONGEST_CHECK, is_flagged_in_time},
    finish::Draft,
};
use api::request::Censor;
use std::sync::Arc;

/// Finished pictures are flagged from this score on.
const THRESHOLD: f32 = 0.5;

/// Who judges, and what becomes of a picture that is flagged.
pub struct Guard {
    /// The judge.
    pub checker: Arc<dyn Checker>,
    /// What is shown instead.
    pub censor: Censor,
}

impl Guard {
    /// The picture as it may be seen: itself, or its censored form that says nothing of its making.
    ///
    /// # Errors
    /// A sentence for the job's owner where it could not be censored.
    pub async fn judged(&self, draft: Draft) -> Result<Draft, String> {
        let Draft { picture, seed, parameters, is_flagged } = draft;
        let picture = Arc::new(picture);
        let is_shown =
            !is_flagged_in_time(Arc::clone(&self.checker), Arc::clone(&picture), THRESHOLD, LONGEST_CHECK).await;
        if is_shown {
            return Ok(Draft { picture: Arc::unwrap_or_clone(picture), seed, parameters, is_flagged });
        }
        let censor = self.censor;
        let picture = blocking("censoring", move || censored(&picture, censor)).await?;
        Ok(Draft { picture, seed, parameters: String::new(), is_flagged: true })
    }
}
