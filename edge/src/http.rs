//! A request as handlers see it, and the fields that every answer has.

use crate::{
    account::op::{By, Credential, Denied, LimitState, Op, Scope},
    call,
    config::Config,
    error::{Failure, Result},
    fence, random,
};
use api::{
    body::{Body, BodyError, Fields, MAX_LENGTH, form},
    v1::{Code, Problem},
};
use futures_util::StreamExt as _;
use gateway::api_key::{ApiKey, KeyKind};
use serde::{Serialize, de::DeserializeOwned};
use std::{cell::Cell, rc::Rc};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use worker::{
    Context, Env, Headers, Method, Request, Response, ResponseBody,
    js_sys::Uint8Array,
    wasm_bindgen::JsValue,
    web_sys::{self, Request as Incoming},
};

#[wasm_bindgen(module = "/src/ask.js")]
extern "C" {
    /// A fresh UUID, method, address and header fields, one a line.
    fn head(request: &Incoming) -> String;
    /// An answer of bytes, with more fields in its header.
    #[wasm_bindgen(catch, js_name = answer)]
    fn bytes_answer(
        headers: &web_sys::Headers,
        lines: &str,
        status: u16,
        bytes: &[u8],
    ) -> std::result::Result<web_sys::Response, JsValue>;
    /// Sets fields of a header, given one a line.
    #[wasm_bindgen(catch)]
    fn set(headers: &web_sys::Headers, lines: &str) -> std::result::Result<(), JsValue>;
}

/// A body of this length in bytes is read without a look at who sends it.
const SMALL: usize = 64 << 10;

/// One request.
pub struct Call {
    /// What is bound to the Worker.
    pub env: Env,
    /// What may go on after the answer.
    pub context: Context,
    /// What the installation decides.
    pub config: Rc<Config>,
    /// As the runtime has it.
    pub request: Incoming,
    /// The method; `None` for one that nothing here takes.
    method: Option<Method>,
    /// Scheme and host that it came to.
    pub origin: String,
    /// The path, without the query.
    pub path: String,
    /// The query, as fields.
    pub query: Fields,
    /// The query as it came.
    pub raw_query: String,
    /// Fields of the header, with names in small letters.
    headers: Vec<(String, String)>,
    /// `X-Request-Id`.
    pub id: String,
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
    /// What it must be allowed to.
    pub scope: Scope,
}

impl Call {
    /// Reads everything but the body.
    ///
    /// # Errors
    /// The configuration is not usable.
    pub fn new(env: Env, context: Context, request: Incoming) -> Result<Self> {
        let config = Config::read(&env)?;
        let head = head(&request);
        let mut lines = head.split('\n').map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        let (fresh, word, url) = (next(), next(), next());
        let mut headers = Vec::new();
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            headers.push((name, value));
        }
        // The library takes a method that it does not know for GET.
        let method = Some(Method::from(word.clone())).filter(|method| method.as_ref() == word);
        let (origin, path, query) = parts(&url);
        let mut call = Self {
            env,
            context,
            config,
            request,
            method,
            origin: origin.to_owned(),
            path: path.to_owned(),
            query: form(query.as_bytes()).unwrap_or_default(),
            raw_query: query.to_owned(),
            headers,
            id: String::new(),
            limit: Cell::new(None),
            is_counted: Cell::new(false),
        };
        let id = call.header("x-request-id").filter(|id| {
            (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        call.id = match id {
            Some(id) => id,
            None => format!("req_{}", fresh.replace('-', "")),
        };
        Ok(call)
    }

    /// Beginning of every link.
    pub fn base(&self) -> String {
        if let Some(url) = &self.config.public_url {
            return url.clone();
        }
        let host = self.header("x-forwarded-host").or_else(|| self.header("host"));
        let scheme = self.header("x-forwarded-proto").filter(|scheme| matches!(scheme.as_str(), "http" | "https"));
        let host = host.filter(|host| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        });
        let Some(host) = host else { return self.origin.clone() };
        let own = || self.origin.split("://").next().unwrap_or("https").to_owned();
        format!("{}://{host}", scheme.unwrap_or_else(own))
    }

    /// The trace it belongs to (W3C Trace Context).
    ///
    /// # Errors
    /// The runtime has no random bytes for a new one.
    pub fn traceparent(&self) -> Result<String> {
        match self.header("traceparent").filter(|text| is_traceparent(text)) {
            Some(trace) => Ok(trace),
            None => {
                Ok(format!("00-{}-{}-01", random::hex(&random::bytes::<16>()?), random::hex(&random::bytes::<8>()?)))
            }
        }
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

    /// A field of the header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// Reads the body, as far as it may be long.
    ///
    /// # Errors
    /// [`BodyError::TooLong`], or it breaks off.
    pub async fn bytes(&self) -> Result<Vec<u8>> {
        self.bytes_up_to(MAX_LENGTH).await
    }

    /// The same with another bound, for what nodes send.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub async fn bytes_up_to(&self, most: usize) -> Result<Vec<u8>> {
        let stated = self.header("content-length").and_then(|text| text.parse::<usize>().ok());
        if let Some(found) = stated.filter(|&length| length > most) {
            return Err(BodyError::TooLong { found }.into());
        }
        if self.request.body().is_none() {
            return Ok(Vec::new());
        }
        // What is long is counted before it is read, for no account may ever be asked about it. Nodes are ours.
        if stated.is_none_or(|length| length > SMALL) && !self.path.starts_with("/node/") && !fence::opens(self).await {
            return Err(fence::closed());
        }
        if stated.is_some() {
            // No more comes than is stated, so it can be taken in one piece.
            let whole = self.request.array_buffer().map_err(|_| broken_off())?;
            let whole = JsFuture::from(whole).await.map_err(|_| broken_off())?;
            return Ok(Uint8Array::new(&whole).to_vec());
        }
        let (mut bytes, mut length) = (Vec::new(), 0);
        // The handle is cloned: the method of that name would split the body in two and keep what the other half does not read.
        let mut stream = Request::from(Clone::clone(&self.request)).stream()?;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| broken_off())?;
            length += chunk.len();
            // Who still sends would find the connection cut and not see why: a little more is taken, and not kept.
            if length > 2 * most {
                break;
            }
            if length <= most {
                bytes.extend(chunk);
            }
        }
        if length > most { Err(BodyError::TooLong { found: length }.into()) } else { Ok(bytes) }
    }

    /// Reads a body of our own dialect.
    ///
    /// # Errors
    /// [`Failure`] for what cannot be read.
    pub async fn body(&self) -> Result<(Vec<u8>, Body)> {
        let bytes = self.bytes().await?;
        let body = api::body::read(self.header("content-type").as_deref(), &bytes)?;
        Ok((bytes, body))
    }

    /// The key of `Authorization: Bearer`.
    ///
    /// # Errors
    /// There is none, or it is none of ours; nothing was looked up for that.
    pub fn bearer(&self, scope: Scope) -> Result<Presented> {
        let header = self.header("authorization").unwrap_or_default();
        let (scheme, key) = header.split_once(' ').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::Unauthenticated.into());
        }
        presented(key.trim(), scope)
    }

    /// Asks the key's account.
    ///
    /// # Errors
    /// What it says, or that it cannot be reached.
    pub async fn ask<T: DeserializeOwned>(&self, who: &Presented, op: Op) -> Result<T> {
        let credential = self.welcome(who).await?;
        let key = credential.hash.clone();
        let (outcome, limit) = call::account_with_limit(&self.env, &who.account, By::Key(credential), op).await?;
        if limit.is_some() {
            self.limit.set(limit);
        }
        self.is_counted.set(true);
        fence::note(&key, outcome.as_ref().err());
        Ok(outcome?)
    }

    /// What is told to the account about a key, where the outer fence lets it through.
    ///
    /// # Errors
    /// It does not.
    pub async fn welcome(&self, who: &Presented) -> Result<Credential> {
        let credential = self.credential(who);
        if credential.counts && !fence::lets_in(self, &credential.hash).await {
            return Err(fence::closed());
        }
        Ok(credential)
    }

    fn credential(&self, who: &Presented) -> Credential {
        let origin = (who.key.kind() == KeyKind::Publishable).then(|| self.header("origin")).flatten();
        Credential { hash: who.key.hash().to_string(), origin, scope: who.scope, counts: !self.is_counted.get() }
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
    pub fn finish(&self, response: Response) -> Result<web_sys::Response> {
        let mut fields = vec![("x-request-id", self.id.clone())];
        if let Some(limit) = self.limit.get() {
            let LimitState { requests, window_seconds, remaining, retry_after_ms } = limit;
            let wait = retry_after_ms.div_ceil(1000);
            fields.push(("ratelimit-policy", format!("\"default\";q={requests};w={window_seconds}")));
            fields.push(("ratelimit", format!("\"default\";r={remaining};t={wait}")));
        }
        if let ResponseBody::Body(bytes) = response.body() {
            cors(self, response.headers())?;
            let said = bytes_answer(&response.headers().0, &lines(&fields), response.status_code(), bytes);
            return Ok(said.map_err(worker::Error::from)?);
        }
        // What comes from an object or from a binding has a header that cannot be changed.
        let response = if set_all(response.headers(), &fields).is_ok() {
            response
        } else {
            let copy = copied(response)?;
            set_all(copy.headers(), &fields)?;
            copy
        };
        cors(self, response.headers())?;
        Ok(response.into())
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
pub fn presented(text: &str, scope: Scope) -> Result<Presented> {
    let key = ApiKey::parse(text).map_err(|_| Denied::Unauthenticated)?;
    Ok(Presented { account: account_name(key.account()), key, scope })
}

/// The name of an account's object.
pub fn account_name(id: [u8; gateway::api_key::ACCOUNT]) -> String {
    format!("acc_{}", random::hex(&id))
}

/// Origin, path and query of an address as the runtime writes it: the first slash after the host begins the path.
fn parts(url: &str) -> (&str, &str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let (origin, rest) = url.split_at_checked(path).unwrap_or((url, ""));
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    (origin, if path.is_empty() { "/" } else { path }, query)
}

/// Sets fields of a header in one crossing to JavaScript; values have no line breaks.
///
/// # Errors
/// The header cannot be changed.
pub fn set_all<T: std::fmt::Display>(headers: &Headers, fields: &[(&str, T)]) -> worker::Result<()> {
    Ok(set(&headers.0, &lines(fields))?)
}

fn lines<T: std::fmt::Display>(fields: &[(&str, T)]) -> String {
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}\n{value}")).collect();
    lines.join("\n")
}

fn broken_off() -> Failure {
    Failure::new(Code::InvalidBody, "the body breaks off")
}

/// The same answer with a header that can be changed.
///
/// # Errors
/// It cannot be made.
pub fn copied(response: Response) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in response.headers().entries() {
        headers.append(&name, &value)?;
    }
    let status = response.status_code();
    let (_, body) = response.into_parts();
    Ok(Response::from_body(body)?.with_status(status).with_headers(headers))
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

/// An answer in JSON; [`Call::finish`] says so in its header.
///
/// # Errors
/// It cannot be written.
pub fn json<T: Serialize>(status: u16, value: &T) -> Result<Response> {
    Ok(Response::builder().with_status(status).fixed(serde_json::to_vec(value)?))
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
