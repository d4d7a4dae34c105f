//! `/v1/jobs`.

use crate::{
    account::op::{By, Envelope, JobRecord, JobRef, Op, Reply},
    call as calls, dispatcher,
    error::{Failure, Result},
    http::{self, Call, Presented},
    make, objects, render,
};
use api::{
    body::form,
    v1::{Job, JobList, JobListQuery},
};
use gateway::job::State;
use worker::Response;

fn reference(id: &str) -> Result<JobRef> {
    if id.starts_with("job_") && id.len() < 64 { Ok(JobRef::Id(id.to_owned())) } else { Err(Failure::not_found()) }
}

/// A job as it is said, with its pictures in base64 where they were asked for so.
pub async fn job(call: &Call, record: &JobRecord, with_base64: bool) -> Result<Job> {
    let place = if record.state == State::Queued {
        dispatcher::place(&call.env, &record.account, record.number).await
    } else {
        None
    };
    let mut job = render::job(&call.config, record, place);
    if with_base64 && !job.pictures.is_empty() {
        for (picture, text) in job.pictures.iter_mut().zip(make::base64(call, record).await?) {
            picture.base64 = Some(text);
        }
    }
    Ok(job)
}

/// One page of jobs.
pub async fn list(call: &Call, who: &Presented) -> Result<Response> {
    // A query that cannot be read is refused here, where `call.query` would be empty.
    let JobListQuery { limit, before } = JobListQuery::read(&form(call.raw_query.as_bytes())?)?;
    let before = match before {
        None => None,
        Some(id) => {
            let job: JobRecord = call.ask(who, Op::Job(reference(&id)?)).await?;
            Some(job.number)
        }
    };
    let records: Vec<JobRecord> = call.ask(who, Op::Jobs { limit: limit + 1, before }).await?;
    let has_more = records.len() > limit as usize;
    let shown = records.iter().take(limit as usize);
    let jobs: Vec<Job> = shown.map(|record| render::job(&call.config, record, None)).collect();
    let next = jobs.last().filter(|_| has_more).map(|job| job.id.clone());
    http::json(200, &JobList { jobs, next })
}

/// One job.
pub async fn get(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    let record: JobRecord = call.ask(who, Op::Job(reference(id)?)).await?;
    let with_base64 = record.request.delivery.base64;
    http::json(200, &job(call, &record, with_base64).await?)
}

/// A job's events; `Last-Event-ID` takes up an earlier stream.
pub async fn events(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    let last = call.header("last-event-id").and_then(|text| text.trim().parse().ok());
    stream(call, who, id, last).await
}

/// The stream itself comes from the account's object, chunk by chunk.
pub async fn stream(call: &Call, who: &Presented, id: &str, last: Option<u64>) -> Result<Response> {
    let by = By::Key(call.welcome(who).await?);
    let op = Op::Events { job: reference(id)?, last };
    let envelope = Envelope { account: who.account.clone(), by, op };
    let stub = call.env.durable_object("ACCOUNT")?.get_by_name(&who.account)?;
    let mut response = calls::send(&stub, "/events", &envelope).await?;
    let kind = response.headers().get("content-type")?.unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        return Ok(response);
    }
    let Reply::<serde_json::Value> { outcome, limit } = calls::read(&mut response).await?;
    call.limit.set(limit.or(call.limit.get()));
    match outcome {
        Err(denied) => Err(denied.into()),
        Ok(_) => Err(Failure::internal("an account answered events with something else")),
    }
}

/// Takes a job back.
pub async fn cancel(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    let record: JobRecord = call.ask(who, Op::Cancel(reference(id)?)).await?;
    dispatcher::remove(&call.env, &record).await;
    http::json(200, &job(call, &record, false).await?)
}

/// Deletes a job's pictures.
pub async fn delete(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    let record: JobRecord = call.ask(who, Op::DeleteJob(reference(id)?)).await?;
    dispatcher::remove(&call.env, &record).await;
    // A node may have been storing one at that very moment.
    let prefix = format!("{}/pictures/{}/", record.account, record.number);
    objects::delete_prefix(&call.env, &prefix).await?;
    http::empty(204)
}

/// Says that `Prefer` was heard (RFC 7240, section 3).
pub fn with_preference(response: Response) -> Result<Response> {
    let headers = response.headers().clone();
    headers.set("preference-applied", "wait")?;
    Ok(response.with_headers(headers))
}
