//! What carries requests, whatever it is.

use std::time::Duration;

/// How a request is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Makes or changes.
    Post,
    /// Deletes.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request on its way.
#[derive(Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: String,
    /// Its headers; one of them may be the key.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, JSON.
    pub body: Option<String>,
}

/// The head of an answer, and its body as it arrives.
#[derive(Debug)]
pub struct Response<B> {
    /// Its status.
    pub status: u16,
    /// Seconds of its `Retry-After`, if it has one.
    pub retry_after: Option<u32>,
    /// Its body.
    pub body: B,
}

/// Carries requests: the page's `fetch` in a browser, any HTTP client elsewhere.
pub trait Transport {
    /// Bodies of answers.
    type Body: Body;

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// What kept an answer from coming, in words.
    fn send(&self, request: Request) -> impl Future<Output = Result<Response<Self::Body>, String>>;

    /// Waits.
    fn pause(&self, pause: Duration) -> impl Future<Output = ()>;
}

/// The body of an answer. Dropping one that has not come to its end must close its connection.
pub trait Body {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// What broke it off, in words.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, String>>;
}
