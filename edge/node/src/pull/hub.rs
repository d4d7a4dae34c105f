//! Calls to a server that is shaped like the Hub.

use super::choose::{Announced, HubFile};
use anyhow::{Context as _, Result, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, HeaderValue, LINK, LOCATION, RANGE},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Longest that an answer may be on its way to its first byte.
const ANSWER: Duration = Duration::from_mins(1);
/// Largest list of files that is read.
const MAX_LIST: usize = 16 << 20;
/// Most pages of a list.
const MAX_PAGES: usize = 64;
/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 8;

enum Http {
    Plain(Client<HttpConnector, Empty<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

/// A server of repositories.
pub struct Hub {
    endpoint: Url,
    token: Option<HeaderValue>,
    http: Http,
}

/// An entry of a repository's list.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Hub {
    /// The server at `endpoint`, asked with a token where there is one.
    pub fn new(endpoint: &str, token: Option<&str>) -> Result<Self> {
        let shown = || format!("`{endpoint}` is no address of a server");
        let endpoint = Url::parse(endpoint).with_context(shown)?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.query().is_some() || endpoint.host().is_none() {
            bail!("{}; it looks like https://example.com", shown());
        }
        let token = token.filter(|token| !token.is_empty()).map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok().context("the token is no header")?;
            value.set_sensitive(true);
            Ok::<_, anyhow::Error>(value)
        });
        let http = if endpoint.scheme() == "http" {
            Http::Plain(Client::builder(TokioExecutor::new()).build_http())
        } else {
            let connector = HttpsConnectorBuilder::new()
                .with_native_roots()
                .context("this machine has no certificates to check a server with")?
                .https_or_http()
                .enable_http1()
                .build();
            Http::Tls(Client::builder(TokioExecutor::new()).build(connector))
        };
        Ok(Self { endpoint, token: token.transpose()?, http })
    }

    fn address(&self, path: &str) -> Result<Url> {
        let base = self.endpoint.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}")).with_context(|| format!("`{path}` is no path"))
    }

    /// Every file of a repository.
    pub async fn files(&self, repository: &str, revision: &str) -> Result<Vec<HubFile>> {
        let mut next = Some(self.address(&format!("api/models/{repository}/tree/{revision}?recursive=true"))?);
        let mut files = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { break };
            let response = self.get(url.clone(), None).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    bail!("the server does not show {repository}; it is not there, or needs a token (HF_TOKEN)")
                }
                StatusCode::NOT_FOUND => bail!("the server has no {repository} at {revision}"),
                status => bail!("the server answered {status} when asked for the files of {repository}"),
            }
            next = response.headers().get(LINK).and_then(|link| next_page(link, &url));
            let body = Limited::new(response.into_body(), MAX_LIST).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("the list of files did not come: {error}"))?.to_bytes();
            let entries: Vec<Entry> = serde_json::from_slice(&body).context("the list of files is not the Hub's")?;
            files.extend(entries.into_iter().filter(|entry| entry.kind == "file").map(|entry| {
                let size = entry.lfs.as_ref().map_or(entry.size, |lfs| lfs.size);
                let announced = match entry.lfs {
                    Some(lfs) => Some(Announced::Sha256(lfs.oid.to_ascii_lowercase())),
                    // Repositories of git's other hash have longer names.
                    None => (entry.oid.len() == 40).then(|| Announced::GitBlob(entry.oid.to_ascii_lowercase())),
                };
                HubFile { path: entry.path, size, announced }
            }));
        }
        Ok(files)
    }

    /// The bytes `start..end` of a file.
    pub async fn range(
        &self,
        repository: &str,
        revision: &str,
        path: &str,
        (start, end): (u64, u64),
    ) -> Result<Response<Incoming>> {
        let url = self.address(&format!("{repository}/resolve/{revision}/{path}"))?;
        self.get(url, Some(format!("bytes={start}-{}", end - 1))).await
    }

    /// Follows redirects; the token goes to the server itself and to nobody else.
    async fn get(&self, mut url: Url, range: Option<String>) -> Result<Response<Incoming>> {
        for _ in 0..MAX_REDIRECTS {
            let mut request = Request::get(url.as_str().parse::<Uri>()?);
            if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.endpoint.origin()) {
                request = request.header(AUTHORIZATION, token.clone());
            }
            if let Some(range) = &range {
                request = request.header(RANGE, range);
            }
            let response = timeout(ANSWER, self.send(request.body(Empty::new())?));
            let host = url.host_str().unwrap_or_default().to_owned();
            let response = response.await.with_context(|| format!("{host} does not answer"))?;
            let response = response.with_context(|| format!("could not reach {host}"))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let to =
                response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).context("a redirect to nowhere")?;
            let to = url.join(to).with_context(|| format!("{host} redirects to what is no address"))?;
            if url.scheme() == "https" && to.scheme() != "https" {
                bail!("{host} redirects from https to {}", to.scheme());
            }
            url = to;
        }
        bail!("the server redirects without an end")
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>> {
        Ok(match &self.http {
            Http::Plain(client) => client.request(request).await?,
            Http::Tls(client) => client.request(request).await?,
        })
    }
}

/// The address marked `rel="next"` (RFC 8288), on the same server.
fn next_page(link: &HeaderValue, from: &Url) -> Option<Url> {
    let links = link.to_str().ok()?.split(',');
    let next = links.map(str::trim).find(|link| link.contains("rel=\"next\""))?;
    let address = next.strip_prefix('<')?.split_once('>')?.0;
    from.join(address).ok().filter(|url| url.origin() == from.origin())
}
