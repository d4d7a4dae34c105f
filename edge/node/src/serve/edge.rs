//! Calls to the edge, as `api::node` has them.

use super::secret::Token;
use anyhow::{Context as _, Result, bail};
use api::node::{End, Heard, LeaseReply, LeaseRequest, Report, SHA256_HEADER};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Write as _, time::Duration};
use thiserror::Error;
use tokio::time::timeout;

/// Longest that connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest that a short call may take.
const SHORT: Duration = Duration::from_secs(15);
/// Longest that a picture may take, there or back.
const TRANSFER: Duration = Duration::from_secs(90);
/// Largest answer that is read, in bytes; leases carry words only.
const MAX_ANSWER: usize = 4 << 20;
/// Largest input that is read, in bytes; the edge takes no larger ones.
const MAX_INPUT: usize = 16 << 20;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PNG: HeaderValue = HeaderValue::from_static("image/png");

/// A call without a useful answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CallError {
    /// The lease is over, or its job is gone.
    #[error("the lease is over")]
    Lost,
    /// The token is wrong.
    #[error("the edge does not accept the node token")]
    Unauthorised,
    /// The edge will not take this, however often it is sent.
    #[error("the edge answered {0}")]
    Rejected(StatusCode),
    /// No answer, or none that means anything.
    #[error("the edge cannot be reached ({0})")]
    Unreachable(&'static str),
}

impl CallError {
    /// Whether the same call can go well later.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Unauthorised | Self::Unreachable(_))
    }

    fn of_status(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            200..300 => None,
            404 | 409 => Some(Self::Lost),
            401 | 403 => Some(Self::Unauthorised),
            408 | 429 => Some(Self::Unreachable("it is busy")),
            500.. => Some(Self::Unreachable("it has a fault")),
            _ => Some(Self::Rejected(status)),
        }
    }
}

/// A job's place in the calls' paths, under its lease.
#[derive(Debug, Clone)]
pub struct JobRef {
    /// Whose it is.
    pub account: String,
    /// Its number.
    pub job: u64,
    /// The lease.
    pub epoch: u32,
    /// The trace it belongs to.
    pub traceparent: String,
}

impl JobRef {
    fn path(&self, rest: &str) -> String {
        format!("/node/v1/jobs/{}/{}/{rest}", segment(&self.account), self.job)
    }
}

/// One part of a path, with everything but RFC 3986's unreserved characters escaped.
fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            // Writing to a string does not fail.
            byte => _ = write!(path, "%{byte:02X}"),
        }
        path
    })
}

/// Plain where the address is, so that a machine without any certificates can still speak to an edge beside it.
enum Http {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Http {
    async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}

/// The edge, seen from a node.
pub struct Edge {
    base: String,
    authorization: HeaderValue,
    http: Http,
}

/// What a call sends.
struct Call<'a> {
    method: Method,
    path: String,
    content_type: HeaderValue,
    sha256: Option<&'a str>,
    traceparent: &'a str,
    body: Vec<u8>,
    max_answer: usize,
    longest: Duration,
}

impl<'a> Call<'a> {
    fn post(path: String, body: &impl Serialize, traceparent: &'a str) -> Self {
        Self {
            method: Method::POST,
            path,
            content_type: JSON,
            sha256: None,
            traceparent,
            body: serde_json::to_vec(body).expect("the wire's types are always JSON"),
            max_answer: MAX_ANSWER,
            longest: SHORT,
        }
    }
}

impl Edge {
    /// Prepares to call the edge at `address`; nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none, a token that no header can carry, or a machine without certificates where TLS is asked for.
    pub fn new(address: &str, token: &Token) -> Result<Self> {
        let base = address.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().with_context(|| format!("`{base}` is not an address"))?;
        if uri.host().is_none() || uri.query().is_some() || base.contains('@') {
            bail!("the edge's address must be like https://example.com, without user or query");
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let builder = Client::builder(TokioExecutor::new());
        let http = match uri.scheme_str() {
            Some("http") => Http::Plain(builder.build(connector)),
            Some("https") => {
                connector.enforce_http(false);
                let tls = HttpsConnectorBuilder::new()
                    .with_native_roots()
                    .context("this machine has no certificates to check the edge by")?;
                Http::Tls(builder.build(tls.https_only().enable_http1().wrap_connector(connector)))
            }
            _ => bail!("the edge's address must start with https:// or http://"),
        };
        Ok(Self { base, authorization: token.authorization()?, http })
    }

    /// Asks for work.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn lease(&self, request: &LeaseRequest) -> Result<LeaseReply, CallError> {
        let waits = Duration::from_secs(request.wait_seconds.into());
        let call = Call::post("/node/v1/lease".to_owned(), request, "");
        self.json(Call { longest: SHORT + waits, ..call }).await
    }

    /// Fetches an input of a job.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn input(&self, job: &JobRef, name: &str) -> Result<Vec<u8>, CallError> {
        let call = Call {
            method: Method::GET,
            path: job.path(&format!("inputs/{}?epoch={}", segment(name), job.epoch)),
            content_type: JSON,
            sha256: None,
            traceparent: &job.traceparent,
            body: Vec::new(),
            max_answer: MAX_INPUT,
            longest: TRANSFER,
        };
        Ok(self.send(call).await?.into())
    }

    /// Says how far a job is.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn report(&self, job: &JobRef, report: &Report) -> Result<Heard, CallError> {
        self.json(Call::post(job.path("events"), report, &job.traceparent)).await
    }

    /// Hands in a finished picture.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn upload(&self, job: &JobRef, index: usize, png: &[u8], sha256: &str) -> Result<(), CallError> {
        let call = Call {
            method: Method::PUT,
            path: job.path(&format!("pictures/{index}?epoch={}", job.epoch)),
            content_type: PNG,
            sha256: Some(sha256),
            traceparent: &job.traceparent,
            body: png.to_vec(),
            max_answer: MAX_ANSWER,
            longest: TRANSFER,
        };
        self.send(call).await.map(drop)
    }

    /// Ends a lease.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn end(&self, job: &JobRef, end: &End) -> Result<(), CallError> {
        self.send(Call::post(job.path("end"), end, &job.traceparent)).await.map(drop)
    }

    async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, CallError> {
        let answer = self.send(call).await?;
        serde_json::from_slice(&answer).map_err(|_| CallError::Unreachable("its answer is not the protocol's"))
    }

    async fn send(&self, call: Call<'_>) -> Result<Bytes, CallError> {
        let Call { method, path, content_type, sha256, traceparent, body, max_answer, longest } = call;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, content_type);
        if let Some(sha256) = sha256 {
            request = request.header(SHA256_HEADER, sha256);
        }
        if let Some(trace) = HeaderValue::from_str(traceparent).ok().filter(|trace| !trace.is_empty()) {
            request = request.header("traceparent", trace);
        }
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|_| CallError::Unreachable("its address is none"))?;
        timeout(longest, async {
            let response = self.http.request(request).await.map_err(|_| CallError::Unreachable("no connection"))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), max_answer).collect().await;
            if let Some(error) = CallError::of_status(status) {
                return Err(error);
            }
            Ok(body.map_err(|_| CallError::Unreachable("its answer broke off or is too long"))?.to_bytes())
        })
        .await
        .unwrap_or(Err(CallError::Unreachable("it took too long")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_the_protocol_says() {
        let of = |status| CallError::of_status(StatusCode::from_u16(status).unwrap());
        assert_eq!(of(204), None);
        assert_eq!((of(404), of(409)), (Some(CallError::Lost), Some(CallError::Lost)));
        assert_eq!(of(422), Some(CallError::Rejected(StatusCode::UNPROCESSABLE_ENTITY)));
        let is_passing = |status| of(status).is_some_and(CallError::is_passing);
        assert!(is_passing(401) && is_passing(429) && is_passing(503));
        assert!(!is_passing(409) && !is_passing(422));
    }

    #[test]
    fn an_account_cannot_leave_its_place_in_the_path() {
        let job = JobRef { account: "../a b?".to_owned(), job: 3, epoch: 1, traceparent: String::new() };
        assert_eq!(job.path("end"), "/node/v1/jobs/..%2Fa%20b%3F/3/end");
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        let Ok(token) = "t".parse::<Token>();
        for bad in ["", "example.com", "ftp://example.com", "http://user@example.com", "http://example.com/?a=1"] {
            assert!(Edge::new(bad, &token).is_err(), "{bad}");
        }
        assert!(Edge::new("http://127.0.0.1:8787/", &token).is_ok());
        // A machine may have no certificates, which is told and no panic.
        if let Err(error) = Edge::new("https://example.com", &token) {
            assert!(error.to_string().contains("certificates"), "{error}");
        }
    }
}
