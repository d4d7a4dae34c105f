//! `POST /v1/images`: makes pictures, and answers as the client prefers.

use super::jobs;
use crate::{
    account::op::{Dialect, JobRecord, JobRef, Op},
    dispatcher,
    error::{Failure, Result},
    http::{self, Call, Presented},
    make::{self, Wanted},
    objects, random, render,
};
use api::{
    body::{Body, Encoding, Fields},
    request::ImageRequest,
    v1::{Code, Estimate, image_request},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::{job::State, price};
use serde_json::{Value, json};
use worker::Response;

/// Longest wait in seconds.
const LONGEST_WAIT: f64 = 60.0;

/// How a client wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    /// At once (202).
    Accepted,
    /// After this many seconds at most (RFC 7240, `wait`).
    Wait(f64),
    /// With the first picture's bytes.
    Bytes,
    /// With events, as they happen.
    Events,
}

/// Accepts a request.
///
/// # Errors
/// [`Failure`], as a problem.
pub async fn make(call: &Call, who: &Presented) -> Result<Response> {
    let wish = wish(call);
    let (bytes, body) = call.body().await?;
    let (request, insists) = read(call, &bytes, body).await?;
    let wants_base64 = request.delivery.base64;
    let hash = make::hash(call, &bytes);
    let wanted = Wanted { request, dialect: Dialect::V1, hash, is_filtered: false, insists_on_check: insists };
    let record = make::accept(call, who, wanted).await?;
    let accepted = || {
        let place = dispatcher::Place { ahead: record.position as usize, eta: record.eta };
        let response = http::json(202, &render::job(&call.config, &record, Some(place)))?;
        with_location(response, &record)
    };
    match wish {
        Wish::Accepted => accepted(),
        Wish::Events => jobs::stream(call, who, &record.id, None).await,
        Wish::Wait(seconds) => {
            let over = wait(call, who, &record, seconds).await?;
            let job = jobs::job(call, &over, wants_base64).await?;
            let status = if over.state.is_over() { 200 } else { 202 };
            jobs::with_preference(with_location(http::json(status, &job)?, &over)?)
        }
        Wish::Bytes => {
            let over = wait(call, who, &record, LONGEST_WAIT).await?;
            if over.state == State::Succeeded {
                picture(call, &over).await
            } else {
                accepted_or_failed(&over, accepted)
            }
        }
    }
}

fn accepted_or_failed(record: &JobRecord, accepted: impl FnOnce() -> Result<Response>) -> Result<Response> {
    if record.state.is_over() {
        let why = record.error.clone().unwrap_or_else(|| "the job was cancelled".to_owned());
        return Err(Failure::new(Code::Unavailable, format!("there is no picture: {why}; nothing was charged")));
    }
    accepted()
}

/// What a request would cost, without it being made.
///
/// # Errors
/// [`Failure`], as a problem.
pub async fn estimate(call: &Call, who: &Presented) -> Result<Response> {
    let (bytes, body) = call.body().await?;
    let (request, _) = read(call, &bytes, body).await?;
    call.ask::<Value>(who, Op::Admit).await?;
    let summary = dispatcher::summary(&call.env).await?;
    let model = make::model(&summary, &request)?.id.as_str().to_owned();
    make::check_webhook(call, &request)?;
    let eta = summary.eta(&model, price::work(&request));
    http::json(
        200,
        &Estimate {
            price: price::price(&request),
            eta_seconds: Some((eta * 100.0).ceil() / 100.0),
            position: Some(summary.waiting as u64),
            model,
        },
    )
}

/// The strict request, and whether it wants its pictures checked.
async fn read(call: &Call, bytes: &[u8], body: Body) -> Result<(ImageRequest, bool)> {
    let mut fields = typed(bytes, body);
    let summary = dispatcher::summary(&call.env).await?;
    let needs_size = matches!(fields.get("task").and_then(Value::as_str), Some("generate" | "edit" | "inpaint"));
    if needs_size {
        let model = fields.get("model").and_then(Value::as_str).map(str::to_owned);
        make::add_size(&mut fields, &summary, model.as_deref());
    }
    let request = image_request(&fields, u64::from(random::seed()?))?;
    let insists = request.censor.is_some();
    Ok((request, insists))
}

/// A form's texts as the types that JSON would have had; files become base64, as which they are understood anyway.
fn typed(bytes: &[u8], body: Body) -> Fields {
    const TEXTS: [&str; 9] =
        ["prompt", "negative_prompt", "task", "model", "scheduler", "noise", "censor", "webhook", "track_id"];
    let Body { encoding, mut fields, files } = body;
    if encoding == Encoding::Json {
        return fields;
    }
    // A form has no other way to say nothing.
    fields.retain(|_, value| value.as_str().is_none_or(|text| !text.is_empty()));
    for (name, value) in &mut fields {
        if let Value::String(text) = value
            && !TEXTS.contains(&name.as_str())
            && let Ok(typed) = serde_json::from_str::<Value>(text)
        {
            *value = typed;
        }
    }
    for file in files {
        if let Some(part) = bytes.get(file.bytes.clone()) {
            fields.insert(file.name, json!({ "base64": STANDARD.encode(part) }));
        }
    }
    fields
}

fn wish(call: &Call) -> Wish {
    let accept = call.header("accept").unwrap_or_default();
    let wants =
        |kind: &str| accept.split(',').any(|part| part.split(';').next().is_some_and(|name| name.trim() == kind));
    if wants("text/event-stream") {
        return Wish::Events;
    }
    if wants("image/png") && !wants("application/json") {
        return Wish::Bytes;
    }
    let prefer = call.header("prefer").unwrap_or_default();
    let wait = prefer.split([',', ';']).find_map(|part| part.trim().strip_prefix("wait="));
    match wait.and_then(|seconds| seconds.trim().parse::<f64>().ok()).filter(|seconds| *seconds > 0.0) {
        Some(seconds) => Wish::Wait(seconds.min(LONGEST_WAIT)),
        None => Wish::Accepted,
    }
}

async fn wait(call: &Call, who: &Presented, record: &JobRecord, seconds: f64) -> Result<JobRecord> {
    let job = JobRef::Number(record.number);
    call.ask(who, Op::Wait { job, seconds }).await
}

/// The first picture itself.
async fn picture(call: &Call, record: &JobRecord) -> Result<Response> {
    let bytes = objects::get(&call.env, &make::object(record, 0)).await?.ok_or_else(Failure::not_found)?;
    let response = with_location(Response::from_bytes(bytes)?, record)?;
    let headers = response.headers().clone();
    headers.set("content-type", "image/png")?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("cache-control", "no-store")?;
    if let Some(made) = record.pictures.first() {
        headers.set("seed", &made.seed.to_string())?;
    }
    Ok(response.with_headers(headers))
}

fn with_location(response: Response, record: &JobRecord) -> Result<Response> {
    let headers = response.headers().clone();
    headers.set("location", &format!("/v1/jobs/{}", record.id))?;
    if record.is_replay {
        headers.set("idempotency-replayed", "true")?;
    }
    if !record.state.is_over() {
        let seconds = (record.eta.ceil() as u64).clamp(1, 60);
        headers.set("retry-after", &seconds.to_string())?;
    }
    Ok(response.with_headers(headers))
}
