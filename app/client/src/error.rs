//! Why a call did not do what it was for.

use api::v1::{Code, Fault};
use serde_json::Value;
use thiserror::Error;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ClientError {
    /// The server answered that it does not, and why.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// No answer came.
    #[error("the server cannot be reached: {0}")]
    Transport(String),
    /// An answer came that this client does not understand.
    #[error("the server's answer to {request} cannot be read: {reason}")]
    Unreadable {
        /// The method and the path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ClientError {
    /// The problem's code, if it is a problem of this API.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Problem(problem) => problem.code,
            Self::Transport(_) | Self::Unreadable { .. } => None,
        }
    }
}

/// A problem as the server tells it (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The answer's status.
    pub status: u16,
    /// What it is, for programs; `None` when what answered is not this API, or is newer than this client.
    pub code: Option<Code>,
    /// What was wrong this time, and what to do.
    pub detail: String,
    /// Every wrong field.
    pub errors: Vec<Fault>,
    /// Seconds after which it may work, if the server said so.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// Reads the body of an answer with an error's status; a proxy's page of HTML becomes a problem without a code.
    pub fn read(status: u16, body: &[u8], retry_after: Option<u32>) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let code = text(&body, "code").and_then(|word| code(&word));
        let detail = text(&body, "detail")
            .or_else(|| text(&body, "title"))
            .unwrap_or_else(|| format!("the server answered {status} and did not say why"));
        let errors = body.get("errors").and_then(Value::as_array).map_or_else(Vec::new, |faults| {
            faults
                .iter()
                .filter_map(|fault| Some(Fault { pointer: text(fault, "pointer")?, detail: text(fault, "detail")? }))
                .collect()
        });
        Self { status, code, detail, errors, retry_after }
    }

    /// Everything that was wrong, in one sentence or one for each field.
    pub fn text(&self) -> String {
        if self.errors.len() < 2 {
            return self.detail.clone();
        }
        self.errors.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; ")
    }
}

fn code(word: &str) -> Option<Code> {
    Code::ALL.into_iter().find(|code| serde_json::to_value(code).is_ok_and(|name| name.as_str() == Some(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_back_with_its_fields() {
        let problem = api::v1::Problem {
            errors: vec![
                Fault { pointer: "/steps".to_owned(), detail: "steps is 0, but must be at least 1".to_owned() },
                Fault { pointer: "/prompt".to_owned(), detail: "prompt is required".to_owned() },
            ],
            ..api::v1::Problem::new(Code::InvalidRequest, "2 fields cannot be used; see errors")
        };
        let read = Problem::read(422, &serde_json::to_vec(&problem).unwrap(), None);
        assert_eq!((read.status, read.code, &read.errors), (422, Some(Code::InvalidRequest), &problem.errors));
        assert_eq!(read.text(), "steps is 0, but must be at least 1; prompt is required");
        assert_eq!(ClientError::Problem(Box::new(read)).to_string(), "2 fields cannot be used; see errors");
    }

    #[test]
    fn every_code_reads_back() {
        for code in Code::ALL {
            let body = serde_json::to_vec(&api::v1::Problem::new(code, "x")).unwrap();
            assert_eq!(Problem::read(code.status(), &body, None).code, Some(code));
        }
    }

    #[test]
    fn an_answer_of_something_else_is_a_problem_too() {
        let problem = Problem::read(502, b"<html>Bad Gateway</html>", Some(3));
        assert_eq!((problem.code, problem.retry_after), (None, Some(3)));
        assert_eq!(problem.text(), "the server answered 502 and did not say why");
        let newer = Problem::read(451, br#"{"code":"not_invented_yet","detail":"x","errors":[{"pointer":1}]}"#, None);
        assert_eq!((newer.code, newer.text().as_str(), newer.errors.len()), (None, "x", 0));
    }
}
