//! What an account may do, from one file.

use crate::{clock::Millis, ledger::Credits, rate_limit::Limit};
use api::{
    fields::{FieldError, FieldProblem},
    request::ImageRequest,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// The plans that a new installation has.
pub const DEFAULT: &str = include_str!("../plans.json");

/// Why the file of plans is not usable.
#[derive(Debug, Error)]
pub enum PlansError {
    /// It is not the JSON that is expected.
    #[error("the file of plans is not usable")]
    Json(#[from] serde_json::Error),
    /// New accounts get the plan `free`.
    #[error("the file of plans has no plan `free`, which new accounts get")]
    NoFree,
    /// With such a plan nothing could be done.
    #[error("the plan `{plan}` has {field} 0")]
    Zero {
        /// The plan.
        plan: String,
        /// Its field.
        field: &'static str,
    },
}

/// What one plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Pictures a month beside credits; `null` where credits alone count.
    pub images_per_month: Option<u32>,
    /// Credits that an account starts with.
    pub credits_at_start: Credits,
    /// Jobs that may wait or run at a time.
    pub queued_jobs: u32,
    /// Requests in a window.
    pub requests: u32,
    /// Length of the window.
    pub window_seconds: u32,
    /// Pictures of one request.
    pub samples: u32,
    /// Pixels along a side.
    pub side: u32,
    /// Denoising steps.
    pub steps: u32,
    /// Share of a busy pool, beside accounts of other plans.
    pub priority: u32,
}

/// Every plan by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(BTreeMap<String, Plan>);

impl Plans {
    /// Reads the file.
    ///
    /// # Errors
    /// [`PlansError`], so that a mistake in it is found at start and not by a customer.
    pub fn parse(text: &str) -> Result<Self, PlansError> {
        let plans: BTreeMap<String, Plan> = serde_json::from_str(text)?;
        if !plans.contains_key("free") {
            return Err(PlansError::NoFree);
        }
        for (name, plan) in &plans {
            let fields = [
                ("queued_jobs", plan.queued_jobs),
                ("requests", plan.requests),
                ("window_seconds", plan.window_seconds),
                ("samples", plan.samples),
                ("side", plan.side),
                ("steps", plan.steps),
                ("priority", plan.priority),
            ];
            if let Some((field, _)) = fields.into_iter().find(|&(_, value)| value == 0) {
                return Err(PlansError::Zero { plan: name.clone(), field });
            }
        }
        Ok(Self(plans))
    }

    /// One plan.
    pub fn get(&self, name: &str) -> Option<&Plan> {
        self.0.get(name)
    }
}

impl Plan {
    /// Its rate limit.
    pub const fn limit(&self) -> Limit {
        Limit { requests: self.requests, window: Millis::seconds(self.window_seconds as u64) }
    }

    /// Whether it allows a request.
    ///
    /// # Errors
    /// Every field that it does not allow.
    pub fn check(&self, request: &ImageRequest) -> Result<(), Vec<FieldError>> {
        let Some(spec) = request.task.spec() else { return Ok(()) };
        let wanted = [
            ("samples", spec.batch.get(), self.samples),
            ("width", spec.size.width(), self.side),
            ("height", spec.size.height(), self.side),
            ("steps", spec.steps.get(), self.steps),
        ];
        let errors: Vec<FieldError> = wanted
            .into_iter()
            .filter(|&(_, found, allowed)| found > allowed)
            .map(|(name, found, allowed)| FieldError {
                name: name.to_owned(),
                found: Some(found.to_string()),
                problem: FieldProblem::TooLarge(f64::from(allowed)),
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::v1::image_request;

    #[test]
    fn the_plans_that_are_shipped_are_usable() {
        let plans = Plans::parse(DEFAULT).unwrap();
        for (name, jobs) in [("basic", 5), ("standard", 10), ("premium", 15)] {
            let plan = plans.get(name).unwrap();
            assert_eq!((plan.queued_jobs, plan.requests, plan.window_seconds), (jobs, 150, 10));
        }
        assert_eq!(plans.get("free").unwrap().credits_at_start, 20);
        assert!(plans.get("free").unwrap().priority < plans.get("enterprise").unwrap().priority);
        assert_eq!(plans.get("nothing"), None);
    }

    #[test]
    fn a_mistake_in_the_file_is_found() {
        assert!(matches!(Plans::parse("{}"), Err(PlansError::NoFree)));
        assert!(matches!(Plans::parse(&DEFAULT.replace("\"side\": 512", "\"size\": 512")), Err(PlansError::Json(_))));
        let error = Plans::parse(&DEFAULT.replace("\"side\": 512", "\"side\": 0")).unwrap_err();
        assert_eq!(error.to_string(), "the plan `free` has side 0");
    }

    #[test]
    fn what_a_plan_does_not_allow_is_named_field_by_field() {
        let body = api::body::json(
            br#"{"task": "generate", "prompt": "x", "width": 1024, "height": 512, "samples": 2, "steps": 60}"#,
        );
        let request = image_request(&body.unwrap(), 0).unwrap();
        let plans = Plans::parse(DEFAULT).unwrap();
        let errors = plans.get("free").unwrap().check(&request).unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "samples is 2, but must be at most 1",
                "width is 1024, but must be at most 512",
                "steps is 60, but must be at most 51",
            ]
        );
        assert_eq!(plans.get("premium").unwrap().check(&request), Ok(()));
    }
}
