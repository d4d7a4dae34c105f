//! The Stable Diffusion API: its calls, answered with status 200 whatever happened, as its clients expect.

use crate::{
    account::op::{AccountRecord, Denied, Dialect, JobRecord, JobRef, Op, Scope, Usage},
    config, dispatcher,
    error::{Failure, Result},
    http::{self, Call, Presented},
    inputs,
    make::{self, Wanted},
    random, render, v1,
};
use api::{
    body::{Body, BodyError, Fields},
    modelslab::{self as dialect, Family, JobView, Route, read, small_answer},
    request::{Delivery, ImageRequest, ImageSource, Task},
    v1::Code,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::job::State;
use serde_json::{Value, json};
use worker::{Method, Response};

/// How long a client waits for its pictures before it is told to fetch them, in seconds.
const WAIT: f64 = 20.0;

/// Answers `/api`.
///
/// # Errors
/// The answer cannot be written.
pub async fn answer(call: &Call) -> Result<Response> {
    let Some(Route { family, call: what }) = dialect::route(&call.path) else {
        return Err(Failure::not_found());
    };
    if !matches!(call.method()?, Method::Post | Method::Get | Method::Put) {
        return Err(Failure::new(Code::MethodNotAllowed, "the calls of this API take POST"));
    }
    match answered(call, family, what).await {
        Ok(body) => written(200, &body, None),
        Err(failure) => refused(call, family, failure),
    }
}

fn written(status: u16, body: &Value, retry_after: Option<u64>) -> Result<Response> {
    let headers = worker::Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("cache-control", "no-store")?;
    if let Some(seconds) = retry_after {
        headers.set("retry-after", &seconds.to_string())?;
    }
    Ok(Response::ok(dialect::to_string(body))?.with_headers(headers).with_status(status))
}

/// A refusal in the service's words.
fn refused(call: &Call, family: Family, failure: Failure) -> Result<Response> {
    let body = match failure {
        Failure::Body(error @ BodyError::TooLong { .. }) => {
            return written(413, &dialect::error(&error.to_string()), None);
        }
        Failure::Body(error) => dialect::unreadable_body(&error),
        Failure::Fields(errors) => dialect::validation(family, &errors),
        Failure::Model(_) => dialect::model_not_found(),
        Failure::Problem(problem) => match problem.code {
            Code::Internal => dialect::error("Internal server error. Please try again."),
            Code::Unavailable => dialect::error("Service temporarily unavailable. Please try again later."),
            _ => dialect::error(&problem.detail),
        },
        Failure::Denied(denied) => return denied_answer(call, denied),
    };
    written(200, &body, None)
}

fn denied_answer(call: &Call, denied: Denied) -> Result<Response> {
    let with_retry = |message: &str, seconds: u64| {
        let mut body = dialect::error(message);
        body["retry_after"] = seconds.into();
        written(200, &body, Some(seconds))
    };
    let body = match denied {
        Denied::Unauthenticated => dialect::invalid_key(),
        Denied::SameRequest => return written(200, &dialect::rate_limited(), Some(30)),
        Denied::RateLimited => {
            let wait = call.limit.get().map_or(10, |limit| limit.retry_after_ms.div_ceil(1000).max(1));
            return with_retry("Rate limit exceeded", wait);
        }
        Denied::QueueFull(most) => {
            return with_retry(&format!("Rate limit exceeded. Maximum {most} queued requests allowed."), 30);
        }
        Denied::Insufficient { .. } => dialect::error("Insufficient credits. Please add more credits to continue."),
        Denied::Monthly => dialect::quota(&call.base()),
        Denied::Fields(fields) => {
            let mut errors = serde_json::Map::new();
            for (name, detail) in fields {
                errors.insert(name, json!([detail]));
            }
            let mut body = dialect::error("");
            body["message"] = errors.clone().into();
            body["messege"] = errors.into();
            body
        }
        Denied::NotFound => dialect::error("Request not found"),
        Denied::Internal(what) => return refused(call, Family::General, Failure::internal(what)),
        Denied::Unavailable(_) => dialect::error("Service temporarily unavailable. Please try again later."),
        Denied::Blocked => dialect::error("The prompt asks for something that is not drawn here."),
        Denied::Suspended(why) => dialect::error(&format!("Your account is suspended: {why}")),
        Denied::Forbidden(words) | Denied::Stale(words) | Denied::Conflict(words) | Denied::Invalid(words) => {
            dialect::error(&words)
        }
    };
    written(200, &body, None)
}

async fn answered(call: &Call, family: Family, what: dialect::Call) -> Result<Value> {
    let bytes = call.bytes().await?;
    let body = api::body::read_lenient(call.header("content-type").as_deref(), &bytes)?;
    let fields = with_files(&bytes, body);
    let key = dialect::credentials(
        &fields,
        call.header("key").as_deref(),
        call.header("x-api-key").as_deref(),
        call.header("authorization").as_deref(),
        call.query("key"),
    );
    let who = http::presented(key.as_deref().unwrap_or_default(), Scope::Images)?;
    match what {
        dialect::Call::Generate(operation) => {
            let mut fields = fields;
            if !dialect::has_size(&fields) {
                let summary = dispatcher::summary(&call.env).await?;
                let model = fields.get("model_id").and_then(Value::as_str).map(str::to_owned);
                make::add_size(&mut fields, &summary, model.as_deref());
            }
            let request = dialect::image_request(operation, family, &fields, random::seed()?)?;
            made(call, &who, family, request, &bytes).await
        }
        dialect::Call::SuperResolution => made(call, &who, family, dialect::super_resolution(&fields)?, &bytes).await,
        dialect::Call::Fetch(id) => {
            let number = read::fetch(id.as_deref(), &fields)?;
            fetched(call, &who, number).await
        }
        dialect::Call::Unavailable(part) => {
            call.ask::<Value>(&who, Op::Admit).await?;
            Ok(dialect::unavailable(part))
        }
        dialect::Call::Base64Crop => cropped(call, &who, &fields).await,
        dialect::Call::NsfwImageCheck => judged(call, &who, &fields).await,
        other => small(call, &who, family, other, &fields).await,
    }
}

/// Stores a picture, as it is or its middle; pixels are a node's work.
async fn cropped(call: &Call, who: &Presented, fields: &Fields) -> Result<Value> {
    let wanted = read::base64_crop(fields)?;
    if wanted.crop {
        let task = Task::Crop { image: ImageSource::Base64(wanted.image) };
        let (record, link) = done(call, who, task).await?;
        return Ok(small_answer::base64_crop(record.number, &link));
    }
    call.ask::<Value>(who, Op::Admit).await?;
    let (id, link) = stored(call, who, "image", &wanted.image).await?;
    Ok(small_answer::base64_crop(id, &link))
}

/// Has a picture judged.
async fn judged(call: &Call, who: &Presented, fields: &Fields) -> Result<Value> {
    let dialect::NsfwImageCheck { image, threshold } = read::nsfw_image_check(fields)?;
    if !dispatcher::summary(&call.env).await?.has_checker {
        call.ask::<Value>(who, Op::Admit).await?;
        return Ok(dialect::unavailable("a picture checker"));
    }
    let (record, link) = done(call, who, Task::Check { image, threshold }).await?;
    Ok(small_answer::nsfw_image_check(&link, record.pictures.iter().any(|picture| picture.is_flagged)))
}

/// A small work of a node's and the link to what came of it. Who asks has no words for fetching it later: what is not done in
/// time is taken back.
async fn done(call: &Call, who: &Presented, task: Task) -> Result<(JobRecord, String)> {
    let delivery = Delivery { temporary: true, ..Delivery::default() };
    let request = ImageRequest { task, model: None, censor: None, upscale: 1, delivery };
    let hash = make::hash(call, &serde_json::to_vec(&request)?);
    let dialect = Dialect::ModelsLab { family: Family::Single };
    let wanted = Wanted { request, dialect, hash, is_filtered: false, insists_on_check: false };
    let record = make::accept(call, who, wanted).await?;
    let job = JobRef::Number(record.number);
    let record: JobRecord = call.ask(who, Op::Wait { job: job.clone(), seconds: WAIT }).await?;
    match record.state {
        State::Succeeded => {
            let link = render::picture_url(&call.config, &record, 0);
            Ok((record, link))
        }
        State::Failed => {
            let why = record.error.unwrap_or_else(|| "the picture cannot be used".to_owned());
            Err(Failure::new(Code::InvalidRequest, why))
        }
        _ => {
            let record: JobRecord = call.ask(who, Op::Cancel(job)).await?;
            dispatcher::remove(&call.env, &record).await;
            Err(Denied::Unavailable("no node had time for it".to_owned()).into())
        }
    }
}

/// Files of a form stand beside its texts, as base64.
fn with_files(bytes: &[u8], body: Body) -> Fields {
    let Body { mut fields, files, .. } = body;
    for file in files {
        if let Some(part) = bytes.get(file.bytes.clone()) {
            fields.insert(file.name, STANDARD.encode(part).into());
        }
    }
    fields
}

/// Has pictures made, and waits a bounded time for them.
async fn made(call: &Call, who: &Presented, family: Family, request: ImageRequest, bytes: &[u8]) -> Result<Value> {
    let is_instant = request.delivery.instant;
    let is_upscale = matches!(request.task, api::request::Task::Upscale { .. });
    let wanted = Wanted {
        request,
        dialect: Dialect::ModelsLab { family },
        hash: make::hash(call, bytes),
        is_filtered: true,
        insists_on_check: false,
    };
    let mut record = make::accept(call, who, wanted).await?;
    if !is_instant {
        let op = Op::Wait { job: JobRef::Number(record.number), seconds: WAIT };
        record = call.ask(who, op).await?;
    }
    let meta = dialect::meta(family, &record.request, &record.model, &record.file_prefix);
    let output = output(call, &record).await?;
    let fetch_result = format!("{}{}", call.base(), dialect::fetch_path(&call.path, record.number));
    let view = JobView {
        output: &output,
        fetch_result: &fetch_result,
        eta: record.eta,
        generation_time: record.seconds,
        nsfw: record.pictures.iter().any(|picture| picture.is_flagged),
        ..JobView::new(family, record.number, &meta)
    };
    Ok(match record.state {
        State::Succeeded if is_upscale => dialect::super_resolution_done(family, view),
        State::Succeeded => dialect::success(view),
        State::Failed | State::Cancelled => dialect::failed(),
        State::Queued | State::Running { .. } => dialect::processing(view),
    })
}

/// Links to a job's pictures, or the pictures in base64.
async fn output(call: &Call, record: &JobRecord) -> Result<Vec<String>> {
    if record.state == State::Succeeded && record.request.delivery.base64 {
        return make::base64(call, record).await;
    }
    Ok(render::picture_urls(&call.config, record))
}

async fn fetched(call: &Call, who: &Presented, number: u64) -> Result<Value> {
    let record: JobRecord = call.ask(who, Op::Job(JobRef::Number(number))).await?;
    if record.is_deleted {
        return Err(Denied::NotFound.into());
    }
    let family = render::family(&record);
    let output = output(call, &record).await?;
    let view = JobView { output: &output, ..JobView::new(family, record.number, &Value::Null) };
    Ok(match record.state {
        State::Succeeded => dialect::success_fetched(view),
        State::Failed | State::Cancelled => dialect::failed(),
        State::Queued | State::Running { .. } => dialect::processing_fetched(),
    })
}

/// Everything that makes no picture.
async fn small(call: &Call, who: &Presented, family: Family, what: dialect::Call, fields: &Fields) -> Result<Value> {
    use dialect::Call as C;
    match what {
        C::DeleteImage => {
            let job = JobRef::Number(read::delete_image(fields)?);
            let record: JobRecord = call.ask(who, Op::DeleteJob(job)).await?;
            dispatcher::remove(&call.env, &record).await;
            return Ok(small_answer::delete_image());
        }
        C::WalletBalance | C::SubscribedProducts | C::RequestCount => return of_account(call, who, what).await,
        C::AssetsGenerated => return assets(call, who, fields).await,
        _ => {}
    }
    call.ask::<Value>(who, Op::Admit).await?;
    match what {
        C::Base64ToUrl => {
            let data = read::base64_to_url(fields)?;
            let (id, link) = stored(call, who, "base64_string", &data).await?;
            Ok(small_answer::base64_to_url(family, id, &link))
        }
        C::ClearCache => Ok(small_answer::clear_cache(family)),
        C::ClearQueue => {
            let jobs: Vec<JobRecord> = call.ask(who, Op::Jobs { limit: 100, before: None }).await?;
            for job in jobs.into_iter().filter(|job| job.state == State::Queued) {
                let record: JobRecord = call.ask(who, Op::Cancel(JobRef::Number(job.number))).await?;
                dispatcher::remove(&call.env, &record).await;
            }
            Ok(small_answer::clear_queue())
        }
        other => of_pool(call, other, fields).await,
    }
}

async fn of_account(call: &Call, who: &Presented, what: dialect::Call) -> Result<Value> {
    if what == dialect::Call::WalletBalance {
        let account: AccountRecord = call.ask(who, Op::Admit).await?;
        return Ok(small_answer::wallet_balance(account.credits));
    }
    let usage: Usage = call.ask(who, Op::Usage).await?;
    if what == dialect::Call::RequestCount {
        return Ok(small_answer::request_count(u64::from(usage.queued)));
    }
    let (total, left) = match usage.images_per_month {
        Some(most) => (u64::from(most), u64::from(most).saturating_sub(usage.images_this_month)),
        None => (usage.credits + usage.images_this_month, usage.credits),
    };
    Ok(small_answer::subscribed_products(&usage.plan, total, left))
}

async fn assets(call: &Call, who: &Presented, fields: &Fields) -> Result<Value> {
    let page = read::assets_generated(fields)?;
    let newest: Vec<JobRecord> = call.ask(who, Op::Jobs { limit: 1, before: None }).await?;
    // Numbers have no gaps, so the last one is how many there are.
    let total = newest.first().map_or(0, |job| job.number);
    let before = (total + 1).saturating_sub(u64::from(page.page - 1) * u64::from(page.per_page));
    let op = Op::Jobs { limit: page.per_page, before: Some(before) };
    let records: Vec<JobRecord> = call.ask(who, op).await?;
    let jobs: Vec<(u64, Vec<String>)> = records
        .iter()
        .filter(|record| record.state == State::Succeeded && !record.is_deleted)
        .map(|record| (record.number, render::picture_urls(&call.config, record)))
        .collect();
    Ok(small_answer::assets_generated(page, total, &jobs))
}

async fn of_pool(call: &Call, what: dialect::Call, fields: &Fields) -> Result<Value> {
    use dialect::Call as C;
    let summary = dispatcher::summary(&call.env).await?;
    let time = summary.queue_seconds / summary.slots.max(1) as f64;
    Ok(match what {
        C::SystemLoad => small_answer::system_load(summary.waiting as u64, time),
        C::SystemDetails => small_answer::system_details(summary.models.len() as u64, time),
        C::ModelList => {
            let models = summary.models.iter().map(|(offer, _)| (offer.id.as_str(), offer.title.as_str()));
            let listed: Vec<_> = models.map(|(id, title)| small_answer::ListedModel::ready(id, title)).collect();
            small_answer::model_list(&listed)
        }
        C::AllModels => {
            let now = config::now().0;
            small_answer::get_all_models(summary.models.iter().map(|(offer, _)| (offer.id.as_str(), now)))
        }
        C::SchedulersList => small_answer::schedulers_list(),
        C::VerifyModel | C::ModelReload => {
            let name = read::model_id(fields)?;
            if summary.model(Some(&name)).is_none() {
                return Err(Failure::Model(name));
            }
            if what == C::VerifyModel { small_answer::verify_model() } else { small_answer::model_reload() }
        }
        _ => return Err(Failure::not_found()),
    })
}

/// Stores a picture that came as base64, as an upload of the account.
async fn stored(call: &Call, who: &Presented, field: &str, data: &str) -> Result<(u64, String)> {
    let upload = v1::store_upload(call, who, field, inputs::decode(field, data)?).await?;
    Ok((u64::from(random::seed()?), v1::upload_url(call, &who.account, &upload)))
}
