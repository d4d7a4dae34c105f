//! Problem details for HTTP APIs (RFC 9457), with codes that stay what they are.

use crate::{body::BodyError, fields::FieldError};
use serde::Serialize;

/// What went wrong, for programs. A code keeps its name and its status for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Code {
    /// The body is not readable.
    InvalidBody,
    /// Fields cannot be used.
    InvalidRequest,
    /// There is no key, or it is not one.
    Unauthenticated,
    /// There are not enough credits.
    InsufficientCredits,
    /// The key may not do this.
    Forbidden,
    /// There is nothing here, or it is someone else's.
    NotFound,
    /// The method is not one of this path.
    MethodNotAllowed,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyConflict,
    /// The body is too long.
    TooLarge,
    /// The body's type is not one of those that are read.
    UnsupportedMediaType,
    /// Too many requests.
    RateLimited,
    /// Too many jobs wait.
    QueueFull,
    /// It is our fault.
    Internal,
    /// Not now.
    Unavailable,
}

impl Code {
    /// Every code, as the documentation lists them.
    pub const ALL: [Self; 14] = [
        Self::InvalidBody,
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::InsufficientCredits,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::IdempotencyConflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::QueueFull,
        Self::Internal,
        Self::Unavailable,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidBody => "invalid_body",
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::InsufficientCredits => "insufficient_credits",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RateLimited => "rate_limited",
            Self::QueueFull => "queue_full",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    /// Its status (RFC 9110, section 15; 429 by RFC 6585).
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidBody => 400,
            Self::InvalidRequest => 422,
            Self::Unauthenticated => 401,
            Self::InsufficientCredits => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::IdempotencyConflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited | Self::QueueFull => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The same for people, whatever the case.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidBody => "The body cannot be read",
            Self::InvalidRequest => "Fields cannot be used",
            Self::Unauthenticated => "No valid API key",
            Self::InsufficientCredits => "Not enough credits",
            Self::Forbidden => "Not allowed with this API key",
            Self::NotFound => "Nothing is here",
            Self::MethodNotAllowed => "The method does not fit the path",
            Self::IdempotencyConflict => "The Idempotency-Key was used for another request",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body's type is not supported",
            Self::RateLimited => "Too many requests",
            Self::QueueFull => "Too many jobs are waiting",
            Self::Internal => "Something went wrong here",
            Self::Unavailable => "Not available right now",
        }
    }
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fault {
    /// Where it is in the body (RFC 6901).
    #[cfg_attr(feature = "openapi", schema(example = "/prompt"))]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The body of an answer that is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Where it is explained.
    #[cfg_attr(feature = "openapi", schema(example = "/docs/problems#invalid_request"))]
    pub r#type: String,
    /// The same for every problem of its code.
    pub title: &'static str,
    /// The answer's status.
    #[cfg_attr(feature = "openapi", schema(minimum = 400, maximum = 599))]
    pub status: u16,
    /// For programs.
    pub code: Code,
    /// What was wrong this time, and what to do.
    pub detail: String,
    /// Every wrong field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

impl Problem {
    /// A problem without fields.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            r#type: format!("/docs/problems#{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// A body that could not be read.
    pub fn of_body(error: &BodyError) -> Self {
        let code = match error {
            BodyError::TooLong { .. } => Code::TooLarge,
            BodyError::UnsupportedType(_) => Code::UnsupportedMediaType,
            _ => Code::InvalidBody,
        };
        Self::new(code, error.to_string())
    }

    /// All wrong fields of a request at once.
    pub fn of_fields(errors: &[FieldError]) -> Self {
        let faults: Vec<Fault> = errors
            .iter()
            // `/` and `~` stand for themselves only in this form (RFC 6901, section 3).
            .map(|error| Fault {
                pointer: format!("/{}", error.name.replace('~', "~0").replace('/', "~1")),
                detail: error.to_string(),
            })
            .collect();
        let detail = match faults.as_slice() {
            [fault] => fault.detail.clone(),
            faults => format!("{} fields cannot be used; see errors", faults.len()),
        };
        Self { errors: faults, ..Self::new(Code::InvalidRequest, detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldProblem;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_say_their_status() {
        let types: BTreeSet<String> = Code::ALL.iter().map(|&code| Problem::new(code, "").r#type).collect();
        assert_eq!(types.len(), Code::ALL.len());
        assert!(types.contains("/docs/problems#idempotency_conflict"));
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).expect("JSON"), code.as_str());
        }
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn a_body_s_problem_has_its_status() {
        let status = |error| Problem::of_body(&error).status;
        assert_eq!(status(BodyError::TooLong { found: 1 << 30 }), 413);
        assert_eq!(status(BodyError::UnsupportedType("text/plain".to_owned())), 415);
        assert_eq!(status(BodyError::Twice("seed".to_owned())), 400);
    }

    #[test]
    fn every_field_has_a_pointer() {
        let error = |name: &str| FieldError { name: name.to_owned(), found: None, problem: FieldProblem::Missing };
        let problem = Problem::of_fields(&[error("prompt"), error("a/b~c")]);
        let pointers: Vec<&str> = problem.errors.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/prompt", "/a~1b~0c"]);
        assert_eq!(problem.detail, "2 fields cannot be used; see errors");
        assert_eq!(Problem::of_fields(&[error("prompt")]).detail, "prompt is required");
        let json = serde_json::to_value(Problem::new(Code::NotFound, "x")).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "type": "/docs/problems#not_found", "title": "Nothing is here", "status": 404, "code": "not_found", "detail": "x",
            })
        );
    }
}
