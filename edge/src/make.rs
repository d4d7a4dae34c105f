//! From a strict request of any dialect to an accepted job.

use crate::{
    account::op::{Accept, Dialect, JobRecord, Op},
    dispatcher::{self, Summary},
    error::{Failure, Result},
    http::{Call, Presented},
    inputs, objects, random,
};
use api::{
    fields::{FieldError, FieldProblem},
    node::ModelOffer,
    request::ImageRequest,
    v1::Code,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::{idempotency, price};
use sha2::{Digest as _, Sha256};

/// Longest prompt in characters, as long as any dialect's.
const LONGEST_PROMPT: usize = 32_000;
/// Longest `track_id` in bytes of JSON.
const LONGEST_TRACK: usize = 16 << 10;

/// A request that was understood.
pub struct Wanted {
    /// The request.
    pub request: ImageRequest,
    /// In which words.
    pub dialect: Dialect,
    /// SHA-256 of path and body.
    pub hash: [u8; 32],
    /// Whether the same body within half a minute is refused.
    pub is_filtered: bool,
    /// Whether the client wants pictures checked by its own words, and not by default.
    pub insists_on_check: bool,
}

/// A hash of what was asked, so that a repeated request can be told from another.
pub fn hash(call: &Call, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [call.path.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Fills in what a client left to us, as far as it depends on the model: sizes are the model's own.
pub fn add_size(fields: &mut api::body::Fields, summary: &Summary, model: Option<&str>) {
    let Some(offer) = summary.model(model) else { return };
    let is_absent = |fields: &api::body::Fields, name| match fields.get(name) {
        None | Some(serde_json::Value::Null) => true,
        Some(serde_json::Value::String(text)) => text.trim().is_empty(),
        Some(_) => false,
    };
    for name in ["width", "height"] {
        if is_absent(fields, name) {
            fields.insert(name.to_owned(), offer.side.into());
        }
    }
}

/// The model that a request runs on.
///
/// # Errors
/// There is no such model, or it cannot do the task in that size.
pub fn model<'a>(summary: &'a Summary, request: &ImageRequest) -> Result<&'a ModelOffer> {
    let name = request.model.as_ref().map(spec::ModelId::as_str);
    let offer = summary.model(name).ok_or_else(|| match name {
        Some(name) => Failure::Model(name.to_owned()),
        None => Failure::new(Code::Unavailable, "no node is connected; try again in a while"),
    })?;
    let (task, spec) = (request.task.word(), request.task.spec());
    let mut errors = Vec::new();
    let mut refuse = |name: &str, found: Option<String>, problem| {
        errors.push(FieldError { name: name.to_owned(), found, problem });
    };
    if !offer.tasks.iter().any(|able| able == task) {
        refuse("task", Some(task.to_owned()), FieldProblem::Unknown(offer.tasks.join(", ")));
    }
    if let Some(spec) = spec {
        for (name, side) in [("width", spec.size.width()), ("height", spec.size.height())] {
            if side > offer.max_side {
                refuse(name, Some(side.to_string()), FieldProblem::TooLarge(f64::from(offer.max_side)));
            } else if side % offer.multiple.max(1) != 0 {
                let words = format!("must be a multiple of {}", offer.multiple);
                refuse(name, Some(side.to_string()), FieldProblem::Other(words));
            }
        }
    }
    errors.extend(too_long(request));
    if errors.is_empty() { Ok(offer) } else { Err(errors.into()) }
}

/// Texts that no client needs: every job is a row, which cannot have any length.
fn too_long(request: &ImageRequest) -> Vec<FieldError> {
    let words = request.task.spec().map(|spec| [("prompt", &spec.prompt), ("negative_prompt", &spec.negative_prompt)]);
    let words = words.into_iter().flatten().filter(|(_, text)| text.chars().count() > LONGEST_PROMPT);
    let track = request.delivery.track_id.as_ref().filter(|track| track.to_string().len() > LONGEST_TRACK);
    words
        .map(|(name, _)| (name, format!("must have {LONGEST_PROMPT} characters at most")))
        .chain(track.map(|_| ("track_id", format!("must have {LONGEST_TRACK} bytes at most"))))
        .map(|(name, words)| FieldError { name: name.to_owned(), found: None, problem: FieldProblem::Other(words) })
        .collect()
}

/// Has a job accepted, and offers it to the nodes.
///
/// # Errors
/// [`Failure`]; then nothing was debited and nothing is stored.
pub async fn accept(call: &Call, who: &Presented, wanted: Wanted) -> Result<JobRecord> {
    let Wanted { mut request, dialect, hash, is_filtered, insists_on_check } = wanted;
    let key = call.header("idempotency-key");
    if let Some(key) = &key {
        idempotency::check_key(key).map_err(|error| Failure::new(Code::InvalidRequest, error.to_string()))?;
    }
    let summary = dispatcher::summary(&call.env).await?;
    let offer = model(&summary, &request)?;
    check_censor(call, &summary, &mut request, insists_on_check)?;
    check_webhook(call, &request)?;
    let stored = if inputs::has_any(&request) {
        // Nobody without a key makes the edge fetch or store anything.
        call.ask::<serde_json::Value>(who, Op::Admit).await?;
        inputs::store(call, who, &mut request).await?
    } else {
        inputs::Inputs::new()
    };
    let model = offer.id.as_str().to_owned();
    let eta = summary.eta(&model, price::work(&request));
    let accept = Accept {
        id: random::name("job_")?,
        is_blocked: prompt(&request).is_some_and(|prompt| call.config.blocked.find(prompt).is_some()),
        request,
        inputs: stored.clone(),
        eta: (eta * 100.0).ceil() / 100.0,
        position: summary.waiting as u64,
        model,
        dialect,
        base: call.base(),
        traceparent: call.traceparent()?,
        idempotency: key.map(|key| (key, hash)),
        same_request: is_filtered.then(|| u64::from_le_bytes(first_eight(&hash))),
        file_prefix: uuid()?,
    };
    match call.ask::<JobRecord>(who, Op::Accept(accept)).await {
        Ok(record) => {
            if record.is_replay {
                inputs::forget(call, &stored).await;
            } else {
                dispatcher::offer_soon(call, &record);
            }
            Ok(record)
        }
        Err(failure) => {
            inputs::forget(call, &stored).await;
            Err(failure)
        }
    }
}

/// Whether the address that the end is told to may be asked for.
///
/// # Errors
/// It may not.
pub fn check_webhook(call: &Call, request: &ImageRequest) -> Result<()> {
    let Some(url) = &request.delivery.webhook else { return Ok(()) };
    let checked = call.config.webhooks_to.check(url);
    checked.map(drop).map_err(|error| inputs::refused("webhook", &format!("cannot be used: {error}")))
}

/// Whether pictures that are wanted checked can be; fails closed where the installation says so, or the client insists.
fn check_censor(call: &Call, summary: &Summary, request: &mut ImageRequest, insists: bool) -> Result<()> {
    if request.task.pictures() == 0 {
        return Ok(());
    }
    if summary.has_checker {
        if call.config.needs_checker && request.censor.is_none() {
            request.censor = Some(api::request::Censor::default());
        }
        return Ok(());
    }
    if call.config.needs_checker {
        let words = "pictures must be checked here, and no node that can check them is connected";
        return Err(Failure::new(Code::Unavailable, words));
    }
    if insists && request.censor.is_some() {
        let error = FieldError { name: "censor".to_owned(), found: None, problem: FieldProblem::Unavailable };
        return Err(vec![error].into());
    }
    // The answer's meta says so.
    request.censor = None;
    Ok(())
}

fn prompt(request: &ImageRequest) -> Option<&str> {
    request.task.spec().map(|spec| spec.prompt.as_str())
}

fn first_eight(hash: &[u8; 32]) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(hash.split_at(8).0);
    eight
}

/// A random UUID (RFC 9562, version 4), as the older dialect's file names have it.
fn uuid() -> Result<String> {
    let mut bytes = random::bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = random::hex(&bytes);
    let parts =
        [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(start, end)| hex.get(start..end).unwrap_or_default());
    Ok(parts.join("-"))
}

/// Where a job's picture is stored.
pub fn object(record: &JobRecord, index: usize) -> String {
    format!("{}/pictures/{}/{}/{index}", record.account, record.number, record.epoch)
}

/// A job's pictures in base64.
///
/// # Errors
/// R2 cannot be asked.
pub async fn base64(call: &Call, record: &JobRecord) -> Result<Vec<String>> {
    let mut pictures = Vec::new();
    for index in 0..record.pictures.len() {
        let bytes = objects::get(&call.env, &object(record, index)).await?.ok_or_else(Failure::not_found)?;
        pictures.push(STANDARD.encode(bytes));
    }
    Ok(pictures)
}
