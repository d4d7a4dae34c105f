//! A request as handlers see it, and the fields that every answer has.

use crate::{
    account::op::{By, Credential, Denied, LimitState, Op, Scope},
    call,
    config::Config,
    error::{Failure, Result},
    random,
};
use api::{
    body::{Body, BodyError, Fields, MAX_LENGTH, form},
    v1::{Code, Problem},
};
use futures_util::StreamExt as _;
use gateway::api_key::{ApiKey, KeyKind};
use serde::{Serialize, de::DeserializeOwned};
use std::{cell::Cell, rc::Rc};
use worker::{Env, Headers, Method, Request, Response};

/// One request.
pub struct Call {
    /// What is bound to the Worker.
    pub env: Env,
    /// What the installation decides.
    pub config: Rc<Config>,
    /// The method; `None` for one that nothing here takes.
    method: Option<Method>,
    /// The path, without the query.
    pub path: String,
    /// The query, as fields.
    pub query: Fields,
    /// The query as it came.
    pub raw_query: String,
    /// The header.
    pub headers: Headers,
    /// Beginning of every link.
    pub base: String,
    /// `X-Request-Id`.
    pub id: String,
    /// The trace it belongs to (W3C Trace Context).
    pub traceparent: String,
    /// What the account said of its rate limit.
    pub limit: Cell<Option<LimitState>>,
    /// Whether a call to the account was counted already.
    is_counted: Cell<bool>,
}

/// A key that has the shape of one, and whose it would be.
#[derive(Clone)]
pub struct Presented {
    /// The account's name.
    pub account: String,
    /// The key.
    pub key: ApiKey,
}

impl Call {
    /// Reads everything but the body.
    ///
    /// # Errors
    /// The configuration is not usable.
    pub fn new(env: Env, request: &Request) -> Result<Self> {
        // The library takes a method that it does not know for GET.
        let method = Some(request.method()).filter(|method| method.as_ref() == request.inner().method());
        let config = Config::read(&env)?;
        let url = request.url()?;
        let headers = request.headers().clone();
        let base = config.public_url.clone().unwrap_or_else(|| base(&headers, &url));
        let raw_query = url.query().unwrap_or_default().to_owned();
        let query = form(raw_query.as_bytes()).unwrap_or_default();
        let trace = headers.get("traceparent")?.filter(|text| is_traceparent(text));
        let traceparent = match trace {
            Some(trace) => trace,
            None => format!("00-{}-{}-01", random::hex(&random::bytes::<16>()?), random::hex(&random::bytes::<8>()?)),
        };
        let id = headers.get("x-request-id")?.filter(|id| {
            (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        let id = match id {
            Some(id) => id,
            None => random::name("req_")?,
        };
        Ok(Self {
            env,
            config,
            method,
            path: request.path(),
            query,
            raw_query,
            headers,
            base,
            id,
            traceparent,
            limit: Cell::new(None),
            is_counted: Cell::new(false),
        })
    }

    /// The method.
    ///
    /// # Errors
    /// It is none that anything here takes.
    pub fn method(&self) -> Result<Method> {
        self.method.clone().ok_or_else(|| Failure::new(Code::MethodNotAllowed, "nothing here takes this method"))
    }

    /// Whether it is this one.
    pub fn is(&self, method: &Method) -> bool {
        self.method.as_ref() == Some(method)
    }

    /// A field of the header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    /// Reads the body, as far as it may be long.
    ///
    /// # Errors
    /// [`BodyError::TooLong`], or it breaks off.
    pub async fn bytes(&self, request: &mut Request) -> Result<Vec<u8>> {
        self.bytes_up_to(request, MAX_LENGTH).await
    }

    /// The same with another bound, for what nodes send.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub async fn bytes_up_to(&self, request: &mut Request, most: usize) -> Result<Vec<u8>> {
        let stated = self.header("content-length").and_then(|text| text.parse::<usize>().ok());
        if let Some(found) = stated.filter(|&length| length > most) {
            return Err(BodyError::TooLong { found }.into());
        }
        if request.inner().body().is_none() {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::with_capacity(stated.unwrap_or(0));
        let mut stream = request.stream()?;
        while let Some(chunk) = stream.next().await {
            bytes.extend(chunk.map_err(|_| Failure::new(Code::InvalidBody, "the body breaks off"))?);
            if bytes.len() > most {
                return Err(BodyError::TooLong { found: bytes.len() }.into());
            }
        }
        Ok(bytes)
    }

    /// Reads a body of our own dialect.
    ///
    /// # Errors
    /// [`Failure`] for what cannot be read.
    pub async fn body(&self, request: &mut Request) -> Result<(Vec<u8>, Body)> {
        let bytes = self.bytes(request).await?;
        let body = api::body::read(self.header("content-type").as_deref(), &bytes)?;
        Ok((bytes, body))
    }

    /// The key of `Authorization: Bearer`.
    ///
    /// # Errors
    /// There is none, or it is none of ours; nothing was looked up for that.
    pub fn bearer(&self) -> Result<Presented> {
        let header = self.header("authorization").unwrap_or_default();
        let (scheme, key) = header.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::Unauthenticated.into());
        }
        presented(key.trim())
    }

    /// Asks the key's account.
    ///
    /// # Errors
    /// What it says, or that it cannot be reached.
    pub async fn ask<T: DeserializeOwned>(&self, who: &Presented, scope: Scope, op: Op) -> Result<T> {
        let by = By::Key(self.credential(who, scope));
        let (outcome, limit) = call::account_with_limit(&self.env, &who.account, by, op).await?;
        if limit.is_some() {
            self.limit.set(limit);
        }
        self.is_counted.set(true);
        Ok(outcome?)
    }

    /// What is told to the account about a key.
    pub fn credential(&self, who: &Presented, scope: Scope) -> Credential {
        let origin = (who.key.kind() == KeyKind::Publishable).then(|| self.header("origin")).flatten();
        Credential { hash: who.key.hash().to_string(), origin, scope, counts: !self.is_counted.get() }
    }

    /// Who asks, as far as limits for strangers go.
    pub fn client(&self) -> String {
        self.header("cf-connecting-ip").unwrap_or_else(|| "unknown".to_owned())
    }

    /// A text of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).and_then(serde_json::Value::as_str)
    }

    /// Whether a token is the one that a secret of the Worker has, compared in constant time by their hashes.
    pub fn has_token(&self, secret: &str) -> bool {
        use sha2::{Digest as _, Sha256};
        let header = self.header("authorization").unwrap_or_default();
        let Some(token) = header.strip_prefix("Bearer ") else { return false };
        let expected = self.env.secret(secret).map(|secret| secret.to_string()).unwrap_or_default();
        !expected.is_empty() && Sha256::digest(token.trim()) == Sha256::digest(expected)
    }

    /// Adds what every answer has.
    ///
    /// # Errors
    /// A field cannot be set.
    pub fn finish(&self, response: Response) -> Result<Response> {
        // What comes from an object or from a binding has a header that cannot be changed.
        let headers = Headers::new();
        for (name, value) in response.headers().entries() {
            headers.append(&name, &value)?;
        }
        let status = response.status_code();
        headers.set("x-request-id", &self.id)?;
        if let Some(limit) = self.limit.get() {
            let LimitState { requests, window_seconds, remaining, retry_after_ms } = limit;
            headers.set("ratelimit-policy", &format!("\"default\";q={requests};w={window_seconds}"))?;
            let wait = retry_after_ms.div_ceil(1000);
            headers.set("ratelimit", &format!("\"default\";r={remaining};t={wait}"))?;
        }
        cors(self, &headers)?;
        let (_, body) = response.into_parts();
        Ok(Response::from_body(body)?.with_status(status).with_headers(headers))
    }
}

/// Any page may ask, since keys travel in a header that browsers never add by themselves.
fn cors(call: &Call, headers: &Headers) -> Result<()> {
    if call.header("origin").is_none() {
        return Ok(());
    }
    headers.set("access-control-allow-origin", "*")?;
    headers.set(
        "access-control-expose-headers",
        "Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id, Idempotency-Replayed, Preference-Applied, Seed",
    )?;
    if call.is(&Method::Options) {
        headers.set("access-control-allow-methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS")?;
        headers.set(
            "access-control-allow-headers",
            "Authorization, Content-Type, Accept, Prefer, Idempotency-Key, Last-Event-ID, X-Request-Id, traceparent, key, \
             X-Api-Key, X-Requested-With",
        )?;
        headers.set("access-control-max-age", "86400")?;
    }
    Ok(())
}

/// A key of the right shape, and its account.
///
/// # Errors
/// It is none of ours.
pub fn presented(text: &str) -> Result<Presented> {
    let key = ApiKey::parse(text).map_err(|_| Denied::Unauthenticated)?;
    Ok(Presented { account: account_name(key.account()), key })
}

/// The name of an account's object.
pub fn account_name(id: [u8; gateway::api_key::ACCOUNT]) -> String {
    format!("acc_{}", random::hex(&id))
}

fn base(headers: &Headers, url: &worker::Url) -> String {
    let header = |name: &str| headers.get(name).ok().flatten();
    let host = header("x-forwarded-host").or_else(|| header("host"));
    let scheme = header("x-forwarded-proto").filter(|scheme| matches!(scheme.as_str(), "http" | "https"));
    let host = host.filter(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    });
    match host {
        Some(host) => format!("{}://{host}", scheme.unwrap_or_else(|| url.scheme().to_owned())),
        None => url.origin().ascii_serialization(),
    }
}

/// Whether a text is a `traceparent` of version 00.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    matches!(parts.as_slice(), ["00", trace, span, flags] if is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2))
}

/// Files take no other method.
///
/// # Errors
/// It is another one.
pub fn reads_only(call: &Call) -> Result<()> {
    if matches!(call.method()?, Method::Get | Method::Head) {
        return Ok(());
    }
    Err(Failure::new(Code::MethodNotAllowed, "files are read with GET"))
}

/// An answer in JSON.
///
/// # Errors
/// It cannot be written.
pub fn json<T: Serialize>(status: u16, value: &T) -> Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("cache-control", "no-store")?;
    let text = serde_json::to_string(value)?;
    Ok(Response::ok(text)?.with_headers(headers).with_status(status))
}

/// An answer without a body.
///
/// # Errors
/// It cannot be made.
pub fn empty(status: u16) -> Result<Response> {
    Ok(Response::empty()?.with_status(status))
}

/// A problem as an answer.
///
/// # Errors
/// It cannot be written.
pub fn problem(problem: &Problem, retry_after: Option<u64>) -> Result<Response> {
    let response = json(problem.status, problem)?;
    let headers = response.headers().clone();
    headers.set("content-type", "application/problem+json")?;
    if let Some(seconds) = retry_after {
        headers.set("retry-after", &seconds.to_string())?;
    }
    if problem.code == Code::Unauthenticated {
        headers.set("www-authenticate", "Bearer")?;
    }
    Ok(response.with_headers(headers))
}
