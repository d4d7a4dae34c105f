//! Why a request is not answered as its sender hoped, in one shape for every dialect.

use crate::account::op::{Denied, LimitState};
use api::{
    body::BodyError,
    fields::FieldError,
    v1::{Code, Problem},
};

/// A refusal or a failure; each dialect says it in its own words.
#[derive(Debug)]
pub enum Failure {
    /// The body has no fields.
    Body(BodyError),
    /// Fields cannot be used.
    Fields(Vec<FieldError>),
    /// The account says no.
    Denied(Denied),
    /// There is no such model.
    Model(String),
    /// Anything else, as a problem.
    Problem(Problem),
}

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A problem without fields.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::Problem(Problem::new(code, detail))
    }

    /// It is our fault; what happened goes to the log, not to the client.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        worker::console_error!("{}", serde_json::json!({ "level": "error", "message": what.to_string() }));
        Self::new(Code::Internal, "the request could not be completed because of a fault here; it can be sent again")
    }

    /// Nothing is there, or it is someone else's, which is the same.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing at this address for this key")
    }
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Vec<FieldError>> for Failure {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Fields(errors)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// A failure as a problem, and how long to wait before the next try, in seconds.
pub fn problem(failure: Failure, limit: Option<LimitState>) -> (Problem, Option<u64>) {
    let denied = match failure {
        Failure::Body(error) => return (Problem::of_body(&error), None),
        Failure::Fields(errors) => return (Problem::of_fields(&errors), None),
        Failure::Model(name) => {
            let detail = format!("no node has the model {name}; GET /v1/models lists those there are");
            let fault = api::v1::Fault { pointer: "/model".to_owned(), detail: detail.clone() };
            return (Problem { errors: vec![fault], ..Problem::new(Code::InvalidRequest, detail) }, None);
        }
        Failure::Problem(problem) => {
            let wait = (problem.code == Code::Unavailable).then_some(2);
            return (problem, wait);
        }
        Failure::Denied(denied) => denied,
    };
    denied_problem(denied, limit)
}

fn denied_problem(denied: Denied, limit: Option<LimitState>) -> (Problem, Option<u64>) {
    let wait = limit.map_or(1, |limit| limit.retry_after_ms.div_ceil(1000).max(1));
    match denied {
        Denied::Unauthenticated => {
            (Problem::new(Code::Unauthenticated, "send a valid API key as Authorization: Bearer sk_live_…"), None)
        }
        Denied::Forbidden(detail) => (Problem::new(Code::Forbidden, detail), None),
        Denied::Suspended(reason) => {
            (Problem::new(Code::Forbidden, format!("the account is suspended: {reason}")), None)
        }
        Denied::RateLimited => {
            (Problem::new(Code::RateLimited, format!("too many requests; wait {wait} s")), Some(wait))
        }
        Denied::SameRequest => {
            (Problem::new(Code::RateLimited, "the same request came within the last 30 s"), Some(30))
        }
        Denied::QueueFull(most) => (
            Problem::new(Code::QueueFull, format!("{most} jobs wait or run, as many as the plan allows; wait for one")),
            Some(30),
        ),
        Denied::Insufficient { price, balance } => (
            Problem::new(Code::InsufficientCredits, format!("this costs {price} credits, and {balance} are left")),
            None,
        ),
        Denied::Monthly => (
            Problem::new(Code::InsufficientCredits, "the month's pictures are used up, and there are no credits"),
            None,
        ),
        Denied::Fields(fields) => {
            let errors = fields
                .into_iter()
                .map(|(name, detail)| api::v1::Fault { pointer: format!("/{name}"), detail })
                .collect::<Vec<_>>();
            let detail = "the plan does not allow this; see errors";
            (Problem { errors, ..Problem::new(Code::InvalidRequest, detail) }, None)
        }
        Denied::Blocked => {
            (Problem::new(Code::InvalidRequest, "the prompt asks for something that is not drawn here"), None)
        }
        Denied::NotFound => (Problem::new(Code::NotFound, "there is nothing at this address for this key"), None),
        Denied::Stale(detail) | Denied::Conflict(detail) => (Problem::new(Code::IdempotencyConflict, detail), None),
        Denied::Invalid(detail) => (Problem::new(Code::InvalidRequest, detail), None),
        Denied::Unavailable(detail) => (Problem::new(Code::Unavailable, detail), Some(2)),
        Denied::Internal(what) => problem(Failure::internal(what), limit),
    }
}
