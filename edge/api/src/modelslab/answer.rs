//! The service's answers, word for word.
//!
//! The older ones go out with status 200 whatever happened: their clients raise on anything else and lose the body. `message`
//! and `messege` both stand in every answer that has either, since half of the clients read the one and half the other.

use super::Family;
use crate::{
    fields::{FieldError, FieldProblem},
    request::{Censor, ImageRequest, Task},
};
use serde_json::{Map, Value, json};

const FASTER: &str =
    "Get 20x faster image generation using enterprise plan. Click here : https://modelslab.com/enterprise";

fn said(status: &str, message: impl Into<Value>) -> Map<String, Value> {
    let message = message.into();
    let mut body = Map::new();
    body.insert("status".to_owned(), status.into());
    body.insert("message".to_owned(), message.clone());
    body.insert("messege".to_owned(), message);
    body
}

fn with<const N: usize>(mut body: Map<String, Value>, more: [(&str, Value); N]) -> Value {
    body.extend(more.map(|(name, value)| (name.to_owned(), value)));
    body.into()
}

/// The same request came again within half a minute.
pub fn rate_limited() -> Value {
    let tips =
        "you are sending same request multiple times, spam filter is enabled, please wait for 30 seconds and try again";
    with(said("error", "Rate limit exceeded"), [("tips", tips.into())])
}

/// The key is not one, or not any more.
pub fn invalid_key() -> Value {
    let tip = "1. Make sure you are passing Content-Type: application/json in header. 2. Make sure you are doing POST request with valid JSON. 3. Make sure your JSON does not have error, use jsonlint to validate json array. 4. Make sure you have valid API key.";
    with(said("error", "Invalid Api Key"), [("tip", tip.into())])
}

/// The job was given up.
pub fn failed() -> Value {
    with(said("failed", "Failed, Try Again"), [("id", "".into()), ("output", "".into())])
}

/// The model is not there.
pub fn model_not_found() -> Value {
    said("error", "Model id not found").into()
}

/// The month's pictures are used up. `upgrade` is where more can be had.
pub fn quota(upgrade: &str) -> Value {
    said("error", format!("Your monthly limit exceeded, upgrade subscription now on {upgrade}")).into()
}

/// Any other refusal.
pub fn error(message: &str) -> Value {
    said("error", message).into()
}

/// Fields that cannot be used: an object of lists by field, and for the realtime family the first sentence alone.
pub fn validation(family: Family, errors: &[FieldError]) -> Value {
    if family == Family::Realtime {
        return said("error", errors.first().map(sentence).unwrap_or_default()).into();
    }
    let mut fields = Map::new();
    for error in errors {
        if let Value::Array(sentences) = fields.entry(error.name.clone()).or_insert_with(|| json!([])) {
            sentences.push(sentence(error).into());
        }
    }
    said("error", fields).into()
}

/// Laravel's sentence for a problem, which the service's validator speaks.
fn sentence(error: &FieldError) -> String {
    let name = error.name.replace('_', " ");
    match &error.problem {
        FieldProblem::Missing => format!("The {name} field is required."),
        FieldProblem::NotText => format!("The {name} must be a string."),
        FieldProblem::NotANumber => format!("The {name} must be a number."),
        FieldProblem::NotWhole => format!("The {name} must be an integer."),
        FieldProblem::NotASwitch => format!("The {name} field must be true or false."),
        FieldProblem::NotAList => format!("The {name} must be an array."),
        FieldProblem::TooSmall(min) => format!("The {name} must be at least {min}."),
        FieldProblem::TooLarge(max) => format!("The {name} may not be greater than {max}."),
        FieldProblem::Unknown(_) => format!("The selected {name} is invalid."),
        FieldProblem::Unavailable => format!("The {name} is not available on this server."),
        FieldProblem::NoSuchField(_) => format!("The {name} field is unknown."),
        FieldProblem::Other(words) => format!("The {name} {words}."),
    }
}

/// What an answer says of a job.
#[derive(Debug, Clone, Copy)]
pub struct JobView<'a> {
    /// Its number in its account.
    pub id: u64,
    /// Links to its pictures, those it has or will have; or the pictures as base64.
    pub output: &'a [String],
    /// Where it is asked for, absolute.
    pub fetch_result: &'a str,
    /// Seconds until it is done, as far as is known.
    pub eta: f64,
    /// Seconds that it took.
    pub generation_time: f64,
    /// Whether the checker found something.
    pub nsfw: bool,
    /// What really ran.
    pub meta: &'a Value,
}

/// A job that was accepted and goes on.
pub fn processing(job: JobView<'_>) -> Value {
    let body = said("processing", "Try to fetch request after seconds estimated");
    let tip = format!(
        "Your image is processing in background, you can get this image using fetch API: here is link for fetch api : {}",
        job.fetch_result
    );
    with(
        body,
        [
            ("tip", FASTER.into()),
            ("tip_1", tip.into()),
            ("eta", job.eta.into()),
            ("webhook_status", "".into()),
            ("fetch_result", job.fetch_result.into()),
            ("id", job.id.into()),
            ("output", json!([])),
            ("proxy_links", json!([])),
            ("meta", job.meta.clone()),
            ("future_links", job.output.into()),
        ],
    )
}

/// A job that was asked for and goes on.
pub fn processing_fetched() -> Value {
    with(said("processing", "try again later."), [("output", "".into()), ("tip", FASTER.into())])
}

/// A job that ended while the client waited.
pub fn success(job: JobView<'_>) -> Value {
    json!({
        "status": "success", "generationTime": job.generation_time, "id": job.id, "output": job.output, "proxy_links": job.output,
        "nsfw_content_detected": job.nsfw, "webhook_status": "", "meta": job.meta, "tip": FASTER,
    })
}

/// A job that ended before it was asked for.
pub fn success_fetched(job: JobView<'_>) -> Value {
    json!({ "status": "success", "id": job.id, "output": job.output, "proxy_links": job.output })
}

/// Enlarged pictures come as one string in the older families.
pub fn super_resolution(family: Family, job: JobView<'_>) -> Value {
    let mut body = success(job);
    if matches!(family, Family::Single | Family::Enterprise)
        && let (Some(output), Some(first)) = (body.get_mut("output"), job.output.first())
    {
        *output = first.as_str().into();
    }
    body
}

const fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// The echo of a request: what really ran, under the names that the family has for it.
pub fn meta(family: Family, request: &ImageRequest, model: &str, file_prefix: &str) -> Value {
    let (spec, init, mask) = match &request.task {
        Task::Generate { spec } => (spec, false, false),
        Task::Edit { spec, .. } => (spec, true, false),
        Task::Inpaint { spec, .. } => (spec, true, true),
        Task::Upscale { factor, .. } => return json!({ "scale": factor, "file_prefix": file_prefix }),
    };
    let mut meta = Map::new();
    let mut put = |name: &str, value: Value| drop(meta.insert(name.to_owned(), value));
    put("prompt", spec.prompt.as_str().into());
    put("negative_prompt", spec.negative_prompt.as_str().into());
    put("W", spec.size.width().into());
    put("H", spec.size.height().into());
    put("guidance_scale", spec.guidance.get().into());
    put("steps", spec.steps.get().into());
    put("n_samples", spec.batch.get().into());
    put("seed", spec.seed.0.into());
    put("outdir", "out".into());
    put("file_prefix", file_prefix.into());
    put("safetychecker", yes_no(request.censor.is_some()).into());
    if family == Family::Single {
        put("model", model.into());
        put("revision", "fp16".into());
        put("enable_attention_slicing", "true".into());
        put("vae", Value::Null);
    } else {
        put("model_id", model.into());
        put("scheduler", spec.scheduler.map_or(Value::Null, |kind| kind.as_str().into()));
        put("safety_checker", yes_no(request.censor.is_some()).into());
        put("safety_checker_type", censor_name(request.censor.unwrap_or_default()).into());
        put("clip_skip", spec.clip_skip.get().into());
        put("upscale", if request.upscale > 1 { request.upscale.to_string() } else { "no".to_owned() }.into());
        put("base64", yes_no(request.delivery.base64).into());
        put("temp", yes_no(request.delivery.temporary).into());
        put("instant_response", yes_no(request.delivery.instant).into());
        put("webhook", request.delivery.webhook.clone().into());
        put("track_id", request.delivery.track_id.clone().unwrap_or_default());
        for (name, value) in
            [("full_url", "no"), ("tomesd", "no"), ("free_u", "no"), ("watermark", "no"), ("panorama", "no")]
        {
            put(name, value.into());
        }
    }
    if init {
        put("strength", spec.init.map(|init| init.strength.get()).into());
        put("init_image", "".into());
    }
    if mask {
        put("mask_image", "".into());
    }
    meta.into()
}

const fn censor_name(censor: Censor) -> &'static str {
    match censor {
        Censor::Blur => "blur",
        Censor::SensitiveContentText => "sensitive_content_text",
        Censor::Pixelate => "pixelate",
        Censor::Black => "black",
    }
}

/// The name of a picture's file: the job's prefix, and which of its pictures it is.
pub fn file_name(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index}.png")
}
