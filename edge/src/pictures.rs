//! Signed links to pictures.

use crate::{
    account::op::{JobRecord, JobRef, Op},
    call, config,
    error::{Failure, Result},
    http::{self, Call},
    make, objects,
};
use api::v1::Code;
use gateway::{job::State, signed_url};
use worker::{Method, Response};

/// A signed link to a picture.
#[derive(Clone, Copy)]
struct Link<'a> {
    path: &'a str,
    query: &'a str,
    account: &'a str,
    job: &'a str,
    file: &'a str,
}

/// The job that a link leads to, and which of its pictures.
async fn picture(call: &Call, link: Link<'_>) -> Result<(JobRecord, usize)> {
    let Link { path, query, account, job, file } = link;
    let keys = std::slice::from_ref(&call.config.signing);
    let verified = signed_url::verify(keys, "GET", path, account, query, config::now());
    verified.map_err(|error| Failure::new(Code::Forbidden, error.to_string()))?;
    let number: u64 = job.parse().map_err(|_| Failure::not_found())?;
    let record: JobRecord = call::for_edge(&call.env, account, Op::Job(JobRef::Number(number))).await?;
    let index = (0..record.pictures.len()).find(|&index| api::modelslab::file_name(&record.file_prefix, index) == file);
    let index = index.filter(|_| record.state == State::Succeeded && !record.is_deleted);
    index.map(|index| (record, index)).ok_or_else(Failure::not_found)
}

/// The file behind a link of our own, which needs no way out; `None` for any other address.
///
/// # Errors
/// As [`serve`].
pub async fn own(call: &Call, url: &str) -> Result<Option<Vec<u8>>> {
    let Some(rest) = url.strip_prefix(&call.base()) else { return Ok(None) };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "pictures", account, job, file] = parts.as_slice() else { return Ok(None) };
    let (record, index) = picture(call, Link { path, query, account, job, file }).await?;
    objects::get(&call.env, &make::object(&record, index)).await
}

/// Serves `/pictures/{account}/{job}/{file}`; who has the link has the picture, until it expires or is deleted.
///
/// # Errors
/// [`Failure`]: the link was not made here (403), or what it leads to is not there (404).
pub async fn serve(call: &Call, account: &str, job: &str, file: &str) -> Result<Response> {
    http::reads_only(call)?;
    let link = Link { path: &call.path, query: &call.raw_query, account, job, file };
    let (record, index) = picture(call, link).await?;
    let made = record.pictures.get(index).ok_or_else(Failure::not_found)?;
    let etag = format!("\"{}\"", made.sha256);
    let headers = worker::Headers::new();
    let fields = [
        ("etag", etag.as_str()),
        ("cache-control", "private, max-age=3600"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cross-origin-resource-policy", "cross-origin"),
        // Links are for any page; there is nothing in the answer that depends on who asks.
        ("access-control-allow-origin", "*"),
        ("x-darkroom-sha256", &made.sha256),
        ("x-darkroom-seed", &made.seed.to_string()),
    ];
    http::set_all(&headers, &fields)?;
    if call.header("if-none-match").is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
        return Ok(Response::empty()?.with_status(304).with_headers(headers));
    }
    let object = objects::bucket(&call.env)?.get(make::object(&record, index)).execute().await?;
    let Some(object) = object else { return Err(Failure::not_found()) };
    http::set_all(&headers, &[("content-type", "image/png"), ("content-length", &object.size().to_string())])?;
    let Some(body) = object.body().filter(|_| !call.is(&Method::Head)) else {
        return Ok(Response::empty()?.with_headers(headers));
    };
    Ok(Response::from_body(body.response_body()?)?.with_headers(headers))
}
