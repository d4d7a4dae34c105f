//! What nodes ask (see [`api::node`]).

use crate::{
    account::op::{Denied, Ended, JobRecord, JobRef, Op},
    call, directory, dispatcher,
    error::{Failure, Result},
    http::{self, Call},
    objects,
    random::unhex,
};
use api::{
    node::{End, Heard, LeaseRequest, Outcome, Report, SHA256_HEADER},
    v1::Code,
};
use gateway::image_header;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use worker::{Method, Response};

/// Longest file of a picture, which 4096 x 4096 pixels can well have.
const LARGEST_PICTURE: usize = 64 << 20;
/// Pictures of one job.
const MOST_PICTURES: usize = 64;

/// Answers a node.
///
/// # Errors
/// [`Failure`], as a problem.
pub async fn answer(call: &Call, path: &[&str]) -> Result<Response> {
    if !call.has_token("NODE_TOKEN") {
        return Err(Failure::new(Code::Unauthenticated, "send the node token as Authorization: Bearer"));
    }
    match (call.method()?, path) {
        (Method::Post, ["lease"]) => {
            let wanted: LeaseRequest = body(call).await?;
            http::json(200, &dispatcher::lease(&call.env, wanted).await?)
        }
        (method, ["jobs", account, job, rest @ ..]) => {
            let job = job.parse().map_err(|_| Failure::not_found())?;
            // An object of a name that was never opened would be made by asking it.
            if !account.starts_with("acc_") {
                return Err(Failure::not_found());
            }
            of_job(call, method, account, job, rest).await
        }
        _ => Err(Failure::not_found()),
    }
}

async fn of_job(call: &Call, method: Method, account: &str, job: u64, path: &[&str]) -> Result<Response> {
    match (method, path) {
        (Method::Get, ["inputs", name]) => {
            let inputs = check(call, account, job).await?;
            let object = inputs.get(*name).ok_or_else(Failure::not_found)?;
            let bytes = objects::get(&call.env, object).await?.ok_or_else(Failure::not_found)?;
            Ok(Response::from_bytes(bytes)?)
        }
        (Method::Post, ["events"]) => {
            let report: Report = body(call).await?;
            let heard: Heard = ask(call, account, Op::Report { job, report }).await?;
            http::json(200, &heard)
        }
        (Method::Put, ["pictures", index]) => {
            let index: usize = index.parse().map_err(|_| Failure::not_found())?;
            put_picture(call, account, job, index).await
        }
        (Method::Post, ["end"]) => end(call, account, job, body(call).await?).await,
        _ => Err(Failure::not_found()),
    }
}

async fn body<T: DeserializeOwned>(call: &Call) -> Result<T> {
    let bytes = call.bytes().await?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::new(Code::InvalidRequest, error.to_string()))
}

/// Asks an account for a node. A lease that is over is 409, which the node understands.
async fn ask<T: DeserializeOwned>(call: &Call, account: &str, op: Op) -> Result<T> {
    call::for_edge(&call.env, account, op).await
}

fn epoch(call: &Call) -> Result<u32> {
    let epoch = call.query("epoch").and_then(|text| text.parse().ok());
    epoch.ok_or_else(|| Failure::new(Code::InvalidRequest, "the query must have an epoch"))
}

async fn check(call: &Call, account: &str, job: u64) -> Result<BTreeMap<String, String>> {
    ask(call, account, Op::Check { job, epoch: epoch(call)? }).await
}

/// Takes a picture: a PNG whose hash fits, under a lease that is good. Its epoch is part of its name, so that a node that lost
/// its lease overwrites nothing.
async fn put_picture(call: &Call, account: &str, job: u64, index: usize) -> Result<Response> {
    check(call, account, job).await?;
    let stated: [u8; 32] = call
        .header(SHA256_HEADER)
        .and_then(|text| unhex(&text))
        .ok_or_else(|| Failure::new(Code::InvalidRequest, format!("{SHA256_HEADER} must have the file's SHA-256")))?;
    let bytes = call.bytes_up_to(LARGEST_PICTURE).await?;
    let found: [u8; 32] = Sha256::digest(&bytes).into();
    if found != stated {
        return Err(Failure::new(Code::InvalidRequest, "the file's SHA-256 is another: it was damaged on its way"));
    }
    let header = image_header::read(&bytes).map_err(|error| Failure::new(Code::InvalidRequest, error.to_string()))?;
    if header.format != image_header::Format::Png || index >= MOST_PICTURES {
        return Err(Failure::new(Code::InvalidRequest, "a job has 64 PNG files at most"));
    }
    let key = format!("{account}/pictures/{job}/{}/{index}", epoch(call)?);
    objects::put(&call.env, &key, bytes, stated, "image/png").await?;
    // The job may have been taken back or deleted while it came, and with it what was stored by then.
    if let Err(failure) = check(call, account, job).await {
        forget_unless_won(call, account, job, &key).await?;
        return Err(failure);
    }
    http::empty(204)
}

/// Deletes what a lease that is over has stored, unless it is the one that the job succeeded under: then it is a late answer.
async fn forget_unless_won(call: &Call, account: &str, job: u64, prefix: &str) -> Result<()> {
    let is_won = match ask::<JobRecord>(call, account, Op::Job(JobRef::Number(job))).await {
        Ok(record) => {
            let won = format!("{account}/pictures/{job}/{}/", record.epoch);
            record.state == gateway::job::State::Succeeded && !record.is_deleted && prefix.starts_with(&won)
        }
        Err(Failure::Denied(Denied::NotFound)) => false,
        Err(failure) => return Err(failure),
    };
    if is_won { Ok(()) } else { objects::delete_prefix(&call.env, prefix).await }
}

/// Takes the end of a lease. Success is said only when every picture is stored with the hash that the node says.
async fn end(call: &Call, account: &str, job: u64, end: End) -> Result<Response> {
    let prefix = format!("{account}/pictures/{job}/{}/", end.epoch);
    if let Outcome::Done { pictures, .. } = &end.outcome {
        let record: JobRecord = ask(call, account, Op::Job(JobRef::Number(job))).await?;
        if pictures.is_empty() || pictures.len() != crate::render::picture_urls(&call.config, &record).len() {
            let words = "there must be as many pictures as were asked for";
            return Err(unusable(call, account, job, end.epoch, words).await);
        }
        for (index, made) in pictures.iter().enumerate() {
            let stored = objects::sha256(&call.env, &format!("{prefix}{index}")).await?;
            if stored.as_deref() != Some(made.sha256.as_str()) {
                let words = format!("picture {index} is not stored, or with another hash");
                return Err(unusable(call, account, job, end.epoch, &words).await);
            }
        }
    }
    let is_done = matches!(end.outcome, Outcome::Done { .. });
    match ask::<Ended>(call, account, Op::End { job, end }).await {
        Ok(Ended { again, measured }) => {
            if !is_done {
                objects::delete_prefix(&call.env, &prefix).await?;
            }
            if let Some(record) = again {
                dispatcher::offer(&call.env, std::slice::from_ref(&record)).await;
            }
            if let Some((model, work, seconds)) = measured {
                dispatcher::measured(&call.env, model, work, seconds).await;
            }
            http::empty(204)
        }
        Err(Failure::Denied(Denied::Stale(words))) => {
            forget_unless_won(call, account, job, &prefix).await?;
            Err(Failure::Denied(Denied::Stale(words)))
        }
        Err(failure) => Err(failure),
    }
}

/// What is wrong with an end, unless its lease is over: then that is what the node must hear.
async fn unusable(call: &Call, account: &str, job: u64, epoch: u32, words: &str) -> Failure {
    match ask::<BTreeMap<String, String>>(call, account, Op::Check { job, epoch }).await {
        Ok(_) => Failure::new(Code::InvalidRequest, words),
        Err(failure) => failure,
    }
}

/// Goes through all accounts: an alarm that was dropped is made up for here.
///
/// # Errors
/// The directory cannot be reached.
pub async fn sweep(env: &worker::Env) -> Result<u64> {
    let (mut after, mut swept) = (String::new(), 0);
    loop {
        let page = directory::page(env, &after).await?;
        let Some(last) = page.last() else { return Ok(swept) };
        after.clone_from(last);
        for account in &page {
            // One that fails is tried again the next time; the others do not wait for it.
            if call::for_edge::<()>(env, account, Op::Sweep).await.is_ok() {
                swept += 1;
            }
        }
    }
}
