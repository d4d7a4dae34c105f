//! Calls to Durable Objects: typed, and never waited for without end.

use crate::{
    account::op::{By, Denied, Envelope, LimitState, Op, Reply},
    error::{Failure, Result},
};
use futures_util::future::{Either, select};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Delay, Env, Method, Request, RequestInit, Response, Stub, wasm_bindgen::JsValue};

#[wasm_bindgen(module = "/src/ask.js")]
extern "C" {
    /// What an object answers to a text, if it does so within this many milliseconds.
    #[wasm_bindgen(catch)]
    async fn ask(
        env: &JsValue,
        binding: &str,
        name: &str,
        body: &str,
        patience: f64,
    ) -> std::result::Result<JsValue, JsValue>;
}

/// How long an object may take that is not asked to wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks an account.
///
/// # Errors
/// What the account says, or that it cannot be reached.
pub async fn account<T: DeserializeOwned>(env: &Env, name: &str, by: By, op: Op) -> Result<(T, Option<LimitState>)> {
    let (outcome, limit) = account_with_limit(env, name, by, op).await?;
    Ok((outcome?, limit))
}

/// As [`account`], with the state of its rate limit also where it says no.
///
/// # Errors
/// It cannot be reached.
pub async fn account_with_limit<T: DeserializeOwned>(
    env: &Env,
    name: &str,
    by: By,
    op: Op,
) -> Result<(std::result::Result<T, Denied>, Option<LimitState>)> {
    let patience = match &op {
        Op::Wait { seconds, .. } => PATIENCE + Duration::from_secs_f64(seconds.clamp(0.0, 60.0)),
        _ => PATIENCE,
    };
    let envelope = Envelope { account: name.to_owned(), by, op };
    let Reply { outcome, limit } = object(env, "ACCOUNT", name, &envelope, patience).await?;
    Ok((outcome, limit))
}

/// Asks an account on the edge's own behalf.
///
/// # Errors
/// As [`account`].
pub async fn for_edge<T: DeserializeOwned>(env: &Env, name: &str, op: Op) -> Result<T> {
    Ok(account(env, name, By::Edge, op).await?.0)
}

/// Asks an object whose answer is a stream.
///
/// # Errors
/// It cannot be reached, or does not begin to answer in time: in an object, what panicked never does.
pub async fn send<T: Serialize>(stub: &Stub, path: &str, body: &T) -> Result<Response> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(serde_json::to_string(body)?.into()));
    let request = Request::new_with_init(&format!("https://object{path}"), &init)?;
    let answer = Box::pin(stub.fetch_with_request(request));
    match select(answer, Box::pin(Delay::from(PATIENCE))).await {
        Either::Left((Ok(response), _)) => Ok(response),
        Either::Left((Err(error), _)) => Err(unreachable(&error.to_string())),
        Either::Right(_) => Err(unreachable("it does not answer")),
    }
}

fn unreachable(why: &str) -> Failure {
    worker::console_error!(
        "{}",
        serde_json::json!({ "level": "error", "message": "an object cannot be reached", "why": why })
    );
    Failure::Denied(Denied::Unavailable("the account cannot be reached right now; send the request again".to_owned()))
}

/// Posts JSON to an object and reads its answer. Not by the runtime's own parser, whose numbers are doubles and would bend large
/// seeds. An object whose handler panicked never answers, hence the patience.
///
/// # Errors
/// It cannot be reached, answers with another status than 200, or takes longer than `patience`.
pub async fn object<T: Serialize, R: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    body: &T,
    patience: Duration,
) -> Result<R> {
    let answer = ask(env, binding, name, &serde_json::to_string(body)?, patience.as_secs_f64() * 1000.0).await;
    let text = answer.map_err(|error| unreachable(&format!("{error:?}")))?.as_string().unwrap_or_default();
    Ok(serde_json::from_str(&text)?)
}

/// Reads what an object says in place of a stream.
///
/// # Errors
/// It is no such JSON.
pub async fn read<T: DeserializeOwned>(response: &mut Response) -> Result<T> {
    Ok(serde_json::from_str(&response.text().await?)?)
}

/// The same of what an object is asked.
///
/// # Errors
/// It is no such JSON.
pub async fn question<T: DeserializeOwned>(request: &mut Request) -> worker::Result<T> {
    let text = match request.headers().get("question")? {
        Some(text) => text,
        None => request.text().await?,
    };
    serde_json::from_str(&text).map_err(|error| worker::Error::RustError(error.to_string()))
}
