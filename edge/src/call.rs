//! Calls to Durable Objects: typed, and never waited for without end.

use crate::{
    account::op::{By, Denied, Envelope, LimitState, Op, Reply},
    error::{Failure, Result},
};
use futures_util::future::{Either, select};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use worker::{Delay, Env, Method, Request, RequestInit, Response, Stub};

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
    let stub = env.durable_object("ACCOUNT")?.get_by_name(name)?;
    let envelope = Envelope { account: name.to_owned(), by, op };
    let mut response = send(&stub, "/", &envelope, patience).await?;
    let Reply { outcome, limit } = read(&mut response).await?;
    let outcome = match outcome {
        Ok(value) => Ok(serde_json::from_value(value)?),
        Err(denied) => Err(denied),
    };
    Ok((outcome, limit))
}

/// Asks an account on the edge's own behalf.
///
/// # Errors
/// As [`account`].
pub async fn for_edge<T: DeserializeOwned>(env: &Env, name: &str, op: Op) -> Result<T> {
    Ok(account(env, name, By::Edge, op).await?.0)
}

/// Posts JSON to an object and returns its answer.
///
/// # Errors
/// It cannot be reached, or takes longer than `patience`: in an object, what panicked never answers.
pub async fn send<T: Serialize>(stub: &Stub, path: &str, body: &T, patience: Duration) -> Result<Response> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(serde_json::to_string(body)?.into()));
    let request = Request::new_with_init(&format!("https://object{path}"), &init)?;
    let answer = Box::pin(stub.fetch_with_request(request));
    match select(answer, Box::pin(Delay::from(patience))).await {
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

/// Asks another kind of object and reads its JSON.
///
/// # Errors
/// As [`send`].
pub async fn object<T: Serialize, R: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    body: &T,
    patience: Duration,
) -> Result<R> {
    let stub = env.durable_object(binding)?.get_by_name(name)?;
    let mut response = send(&stub, "/", body, patience).await?;
    if response.status_code() != 200 {
        let said = response.text().await.unwrap_or_default();
        return Err(Failure::internal(format!("{binding} answered {}: {said}", response.status_code())));
    }
    read(&mut response).await
}

/// Reads an object's JSON. Not by the runtime's own parser, whose numbers are doubles and would bend large seeds.
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
    serde_json::from_str(&request.text().await?).map_err(|error| worker::Error::RustError(error.to_string()))
}
