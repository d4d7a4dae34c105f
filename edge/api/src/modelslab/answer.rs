//! The service's answers, word for word.
//!
//! The older ones go out with status 200 whatever happened: their clients raise on anything else and lose the body. `message`
//! and `messege` both stand in every answer that has either, since half of the clients read the one and half the other; only the
//! newer families, whose clients never saw the misspelt one, have `message` alone where an answer knows its family. Answers are
//! values; [`to_string`](super::to_string) writes them in the service's order.

use super::{Family, enhance::is_enhanced, scheduler};
use crate::{
    body::BodyError,
    fields::{FieldError, FieldProblem},
    request::{Censor, ImageRequest, ImageSource, Task},
};
use serde_json::{Map, Value, json};
use spec::GenerateSpec;

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

fn said_by(family: Family, status: &str, message: impl Into<Value>) -> Map<String, Value> {
    let mut body = said(status, message);
    if !family.says_messege() {
        body.remove("messege");
    }
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

const KEY_TIP: &str = "1. Make sure you are passing Content-Type: application/json in header. 2. Make sure you are doing POST request with valid JSON. 3. Make sure your JSON does not have error, use jsonlint to validate json array. 4. Make sure you have valid API key.";

/// The key is not one, or not any more.
pub fn invalid_key() -> Value {
    with(said("error", "Invalid Api Key"), [("tip", KEY_TIP.into())])
}

/// The body could not be read, and so had no key either.
pub fn unreadable_body(error: &BodyError) -> Value {
    with(said("error", error.to_string()), [("tip", KEY_TIP.into())])
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

/// A call or a part that is not built, by its name.
pub fn unavailable(what: &str) -> Value {
    error(&format!("This server does not have {what}. Nothing was made and nothing was charged."))
}

/// Any other refusal.
pub fn error(message: &str) -> Value {
    said("error", message).into()
}

/// Fields that cannot be used: an object of lists by field, and for the realtime family the first sentence alone. A model that is
/// not named, or by no name that a model can have, is one that is not found.
pub fn validation(family: Family, errors: &[FieldError]) -> Value {
    if !errors.is_empty() && errors.iter().all(|error| error.name == "model_id") {
        return model_not_found();
    }
    if family == Family::Realtime {
        return said_by(family, "error", errors.first().map(sentence).unwrap_or_default()).into();
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
    /// How it was asked for.
    pub family: Family,
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
    /// What really ran, as [`meta`] wrote it down.
    pub meta: &'a Value,
}

impl<'a> JobView<'a> {
    /// A job of which nothing else is known yet.
    pub const fn new(family: Family, id: u64, meta: &'a Value) -> Self {
        Self { family, id, output: &[], fetch_result: "", eta: 0.0, generation_time: 0.0, nsfw: false, meta }
    }

    /// The echo, with what is known of the job only now in the families that say it there too.
    fn echo(&self) -> Value {
        let mut meta = self.meta.clone();
        if matches!(self.family, Family::Community | Family::Enterprise)
            && let Some(meta) = meta.as_object_mut()
        {
            meta.insert("id".to_owned(), self.id.to_string().into());
            meta.insert("output".to_owned(), self.output.into());
        }
        meta
    }
}

const IN_BACKGROUND: &str = "Your image is processing in background, you can get this image using fetch API";

/// A job that was accepted and goes on.
pub fn processing(job: JobView<'_>) -> Value {
    let is_editing = matches!(job.family, Family::Editing);
    let mut body = said_by(job.family, "processing", "Try to fetch request after seconds estimated");
    if !is_editing {
        let tip = format!("{IN_BACKGROUND}: here is link for fetch api : {}", job.fetch_result);
        body.insert("tip_1".to_owned(), tip.into());
    }
    with(
        body,
        [
            ("tip", if is_editing { IN_BACKGROUND } else { FASTER }.into()),
            ("eta", job.eta.into()),
            ("webhook_status", "".into()),
            ("fetch_result", job.fetch_result.into()),
            ("id", job.id.into()),
            ("output", json!([])),
            ("proxy_links", json!([])),
            ("meta", job.echo()),
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
        "nsfw_content_detected": job.nsfw, "webhook_status": "", "meta": job.echo(), "tip": FASTER,
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

/// What a webhook is told of a job that has its pictures.
pub fn webhook_success(job: JobView<'_>, track_id: Option<&Value>) -> Value {
    let mut body = success(job);
    body["track_id"] = track_id.cloned().unwrap_or_default();
    body
}

/// What a webhook is told of a job that was given up, or taken back; the reason for its owner.
pub fn webhook_failed(id: u64, reason: &str, track_id: Option<&Value>) -> Value {
    let body = said("failed", format!("Processing failed: {reason}"));
    with(body, [("id", id.into()), ("output", "".into()), ("track_id", track_id.cloned().unwrap_or_default())])
}

const fn yes_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// The echo of a request: what really ran, under the names that the family has for it.
pub fn meta(family: Family, request: &ImageRequest, model: &str, file_prefix: &str) -> Value {
    let (spec, image, mask) = match &request.task {
        Task::Generate { spec } => (spec, None, None),
        Task::Edit { spec, image } => (spec, Some(image), None),
        Task::Inpaint { spec, image, mask } => (spec, Some(image), Some(mask)),
        Task::Upscale { image, factor } => {
            return json!({
                "scale": factor, "face_enhance": "no", "init_image": echoed(image), "file_prefix": file_prefix, "outdir": "out",
            });
        }
        Task::Crop { image } | Task::Check { image, .. } => {
            return json!({ "init_image": echoed(image), "file_prefix": file_prefix, "outdir": "out" });
        }
    };
    let mut meta = match family {
        Family::Single | Family::General => single_meta(spec, request, model, file_prefix),
        Family::Community | Family::Enterprise => community_meta(spec, request, model, file_prefix),
        Family::Realtime | Family::Editing => realtime_meta(family, spec, request, file_prefix),
    };
    if let (Some(image), Value::Object(meta)) = (image, &mut meta) {
        meta.insert("init_image".to_owned(), echoed(image).into());
        meta.insert("strength".to_owned(), spec.init.map(|init| decimal(init.strength.get())).into());
    }
    if let (Some(mask), Value::Object(meta)) = (mask, &mut meta) {
        meta.insert("mask_image".to_owned(), echoed(mask).into());
    }
    meta
}

fn single_meta(spec: &GenerateSpec, request: &ImageRequest, model: &str, file_prefix: &str) -> Value {
    json!({
        "H": spec.size.height(), "W": spec.size.width(), "enable_attention_slicing": "true", "file_prefix": file_prefix,
        "guidance_scale": decimal(spec.guidance.get()), "model": model, "n_samples": spec.batch.get(),
        "negative_prompt": spec.negative_prompt, "outdir": "out", "prompt": spec.prompt, "revision": "fp16",
        "safetychecker": yes_no(request.censor.is_some()), "seed": spec.seed.0, "steps": spec.steps.get(), "vae": null,
    })
}

fn community_meta(spec: &GenerateSpec, request: &ImageRequest, model: &str, file_prefix: &str) -> Value {
    let named = spec.scheduler.map(scheduler::name);
    let (scheduler, karras) = named.map(|(name, karras, _)| (name, karras)).unzip();
    let mut meta = json!({
        "prompt": spec.prompt, "model_id": model, "negative_prompt": spec.negative_prompt, "scheduler": scheduler,
        "safety_checker": yes_no(request.censor.is_some()), "safetychecker": yes_no(request.censor.is_some()),
        "W": spec.size.width(), "H": spec.size.height(), "guidance_scale": decimal(spec.guidance.get()), "seed": spec.seed.0,
        "steps": spec.steps.get(), "n_samples": spec.batch.get(),
        "instant_response": yes_no(request.delivery.instant), "use_karras_sigmas": karras.map(yes_no),
        "safety_checker_type": censor_name(request.censor.unwrap_or_default()),
        "clip_skip": spec.clip_skip.get(), "temp": yes_no(request.delivery.temporary),
        "upscale": if request.upscale > 1 { request.upscale.to_string() } else { "no".to_owned() },
        "base64": yes_no(request.delivery.base64), "webhook": request.delivery.webhook, "track_id": request.delivery.track_id,
        "id": null, "file_prefix": format!("{file_prefix}.png"), "is_sdxl": false, "output": [], "outdir": "out",
    });
    // What this server does not do, as the service says that it was not done.
    for name in ["full_url", "tomesd", "free_u", "panorama", "self_attention", "watermark"] {
        meta[name] = "no".into();
    }
    meta["algorithm_type"] = named.map_or("no", |(.., algorithm)| algorithm).into();
    for name in ["ip_adapter_id", "ip_adapter_image", "vae", "lora"] {
        meta[name] = Value::Null;
    }
    (meta["ip_adapter_scale"], meta["lora_strength"]) = (0.6.into(), 1.into());
    meta
}

fn realtime_meta(family: Family, spec: &GenerateSpec, request: &ImageRequest, file_prefix: &str) -> Value {
    let kind = request.censor.unwrap_or(if family == Family::Realtime { Censor::Black } else { Censor::default() });
    let mut meta = json!({
        "base64": yes_no(request.delivery.base64), "enhance_prompt": yes_no(is_enhanced(&spec.prompt)), "enhance_style": null,
        "file_prefix": file_prefix, "guidance_scale": decimal(spec.guidance.get()), "height": spec.size.height(),
        "instant_response": yes_no(request.delivery.instant), "n_samples": spec.batch.get(),
        "negative_prompt": spec.negative_prompt, "outdir": "out", "prompt": spec.prompt,
        "safety_checker": yes_no(request.censor.is_some()), "safety_checker_type": censor_name(kind), "seed": spec.seed.0,
        "temp": yes_no(request.delivery.temporary), "width": spec.size.width(),
    });
    if family == Family::Editing {
        meta["num_inference_steps"] = spec.steps.get().into();
    }
    meta
}

/// The address of a picture; one that was sent along is not sent back.
fn echoed(image: &ImageSource) -> &str {
    match image {
        ImageSource::Url(url) => url,
        ImageSource::Base64(_) | ImageSource::Upload(_) => "",
    }
}

/// A number as people write it, and not the nearest one of twice the precision.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| number.into())
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
