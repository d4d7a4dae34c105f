//! What the page itself can fail at.

use client::ClientError;
use thiserror::Error;
use wasm_bindgen::JsValue;

/// Why something on the page did not work.
#[derive(Debug, Error)]
pub enum PageError {
    /// A file that no decoder of the browser takes.
    #[error("this file is not a picture that the browser can read")]
    NotAPicture,
    /// The gallery's storage is used up.
    #[error("this browser has no room left for pictures")]
    Full,
    /// The gallery's storage refused for another reason.
    #[error("the gallery's storage does not answer: {0}")]
    Storage(String),
    /// The server did not do what it was asked for.
    #[error("{}", server_words(.0))]
    Server(#[from] ClientError),
    /// A run on the server ended without its pictures.
    #[error("{0}")]
    Job(String),
    /// The browser refused a call.
    #[error("{action} failed: {reason}")]
    Browser {
        /// What was tried.
        action: &'static str,
        /// What the browser said.
        reason: String,
    },
}

impl PageError {
    /// For `map_err` on a browser call: names what was tried.
    pub fn browser(action: &'static str) -> impl FnOnce(JsValue) -> Self {
        move |value| Self::Browser { action, reason: reason(&value) }
    }
}

/// What a thrown value says about itself.
pub fn reason(value: &JsValue) -> String {
    let of = |key: &str| js_sys::Reflect::get(value, &key.into()).ok().and_then(|text| text.as_string());
    value.as_string().or_else(|| of("message")).unwrap_or_else(|| "no reason given".to_owned())
}

/// What the server said, with every wrong field.
fn server_words(error: &ClientError) -> String {
    match error {
        ClientError::Problem(problem) => problem.text(),
        error => error.to_string(),
    }
}
