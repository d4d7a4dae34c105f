//! The only way out: addresses of clients' choosing, asked through a service that refuses private networks.
//!
//! Every address is checked as text first, every redirect again, and the service of the runtime checks what the name resolved to
//! at the moment of connecting (`reliability` rule R8).

use crate::{
    config::Config,
    error::{Failure, Result},
};
use api::{body::MAX_LENGTH, v1::Code};
use futures_util::{
    StreamExt as _,
    future::{Either, select},
};
use gateway::url_policy::UrlPolicy;
use std::time::Duration;
use worker::{
    Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response, ResponseBody, Url,
    wasm_bindgen_futures::JsFuture,
};

/// Redirects that are followed.
const HOPS: usize = 3;
/// How long a picture may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fetches a picture.
///
/// # Errors
/// [`Failure`] with what is wrong with the address or the answer, for the client.
pub async fn picture(env: &Env, config: &Config, url: &str) -> Result<Vec<u8>> {
    let fetching = Box::pin(fetch(env, &config.pictures_from, url));
    match select(fetching, Box::pin(Delay::from(PATIENCE))).await {
        Either::Left((bytes, _)) => bytes,
        Either::Right(_) => Err(refused("it takes longer than 20 s")),
    }
}

fn refused(why: &str) -> Failure {
    Failure::new(Code::InvalidRequest, format!("Unable to fetch image from provided URL: {why}"))
}

async fn fetch(env: &Env, policy: &UrlPolicy, url: &str) -> Result<Vec<u8>> {
    let mut url = policy.check(url).map_err(|error| refused(&error.to_string()))?;
    for _ in 0..=HOPS {
        let headers = Headers::new();
        headers.set("accept", "image/png,image/jpeg,image/webp")?;
        headers.set("user-agent", "darkroom")?;
        let mut response = send(env, &url, Method::Get, &headers, None).await.map_err(|_| refused("nobody answers"))?;
        match response.status_code() {
            200 => return read(&mut response).await,
            301 | 302 | 303 | 307 | 308 => {
                let location = response.headers().get("location")?.unwrap_or_default();
                let next = Url::options().base_url(Some(&url)).parse(&location);
                let next = next.map_err(|_| refused("it redirects to no address"))?;
                url = policy.check(next.as_str()).map_err(|error| refused(&error.to_string()))?;
            }
            status => return Err(refused(&format!("it answers {status}"))),
        }
    }
    Err(refused("it redirects more than three times"))
}

/// Reads a body as far as it may be long.
async fn read(response: &mut Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut stream = response.stream()?;
    while let Some(chunk) = stream.next().await {
        bytes.extend(chunk.map_err(|_| refused("it breaks off"))?);
        if bytes.len() > MAX_LENGTH {
            return Err(refused("it is larger than 10 MiB"));
        }
    }
    Ok(bytes)
}

/// Posts a webhook; the status, or `None` where nobody answers in time. Redirects are not followed.
pub async fn post(
    env: &Env,
    config: &Config,
    url: &str,
    headers: &[(String, String)],
    body: &str,
    patience: Duration,
) -> Option<u16> {
    let url = config.webhooks_to.check(url).ok()?;
    let all = Headers::new();
    all.set("content-type", "application/json").ok()?;
    all.set("user-agent", "darkroom").ok()?;
    for (name, value) in headers {
        all.set(name, value).ok()?;
    }
    let sending = Box::pin(send(env, &url, Method::Post, &all, Some(body)));
    let Either::Left((Ok(response), _)) = select(sending, Box::pin(Delay::from(patience))).await else { return None };
    let status = response.status_code();
    // The answer's body is never read, however long it is: what was not taken back would stay open as long as this object.
    if let (_, ResponseBody::Stream(body)) = response.into_parts() {
        JsFuture::from(body.cancel()).await.ok();
    }
    Some(status)
}

async fn send(env: &Env, url: &Url, method: Method, headers: &Headers, body: Option<&str>) -> worker::Result<Response> {
    let mut init = RequestInit::new();
    init.with_method(method).with_redirect(RequestRedirect::Manual).with_headers(headers.clone());
    if let Some(body) = body {
        init.with_body(Some(body.into()));
    }
    let request = Request::new_with_init(url.as_str(), &init)?;
    match env.service("EGRESS") {
        Ok(egress) => egress.fetch_request(request).await,
        // Cloudflare has no such service, and keeps its own networks out of reach.
        Err(_) => Fetch::Request(request).send().await,
    }
}
