//! Fetching a model range by range: verified, stored, resumed, retried.

use super::{
    Result,
    error::EngineError,
    say,
    storage::{self, Storage},
};
use gloo_net::http::{Request, Response};
use js_sys::Promise;
use protocol::{Download, ErrorCode, Event};
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortSignal;
use web_time::Instant;
use weights::Manifest;

const ATTEMPTS: u32 = 4;
/// A server that ignores ranges may send the whole file only when it is at most this large.
const WHOLE_FILE_LIMIT: u64 = 64 << 20;
/// Files up to this size are verified again on every visit; larger ones were verified when they were stored.
const VERIFY_LIMIT: u64 = 64 << 20;

/// A model whose every range is here.
pub struct Fetched {
    /// Where its bytes are.
    pub storage: Storage,
}

fn network(url: &str) -> impl FnOnce(gloo_net::Error) -> EngineError {
    let url = url.to_owned();
    move |error| EngineError::Network { url, reason: error.to_string() }
}

async fn fetch(url: &str, range: Option<(u64, u64)>) -> Result<Response> {
    let request = Request::get(url);
    // A server that goes silent is given up after half a minute and the time that the part takes on a slow line.
    let patience = 30_000 + range.map_or(0, |(_, length)| length / 50) as u32;
    let request = request.abort_signal(Some(&AbortSignal::timeout_with_u32(patience)));
    let request = match range {
        // Parts are kept by us; the browser's cache would hold everything twice.
        Some((offset, length)) => request
            .header("Range", &format!("bytes={offset}-{}", offset + length - 1))
            .cache(web_sys::RequestCache::NoStore),
        None => request.cache(web_sys::RequestCache::NoCache),
    };
    let response = request.send().await.map_err(network(url))?;
    if response.ok() {
        Ok(response)
    } else {
        Err(EngineError::Status { url: url.to_owned(), status: response.status() })
    }
}

/// Waits without holding the worker up.
pub async fn sleep(milliseconds: i32) {
    let promise = Promise::new(&mut |resolve, _| {
        let scope = super::wire::scope();
        drop(scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds));
    });
    drop(JsFuture::from(promise).await);
}

/// Fetches what is not here yet.
///
/// # Errors
/// [`EngineError`]; what was verified stays stored, so that the next attempt goes on from there.
pub async fn fetch_model(manifest_url: &str) -> Result<Fetched> {
    let manifest = manifest(manifest_url).await?;
    let url = manifest_url
        .rsplit_once('/')
        .map_or_else(|| manifest.file.clone(), |(base, _)| format!("{base}/{}", manifest.file));
    storage::remember(manifest_url, &manifest);
    let mut fetcher = Fetcher {
        url,
        storage: Storage::open(&manifest).await,
        started: Instant::now(),
        stored: 0,
        fetched: 0,
        manifest,
    };
    fetcher.check_stored();
    for range in 0..fetcher.manifest.ranges.len() {
        if !fetcher.storage.has(range) {
            fetcher.fetch_range(range).await?;
        }
    }
    fetcher.report(1);
    Ok(Fetched { storage: fetcher.storage })
}

/// The manifest as the server has it now, or, without a network, as an earlier visit left it.
async fn manifest(url: &str) -> Result<Manifest> {
    let fetched = match fetch(url, None).await {
        Ok(response) => response.binary().await.map_err(network(url)),
        Err(error) => Err(error),
    };
    match fetched {
        Ok(text) => {
            let manifest = Manifest::parse(&text)?;
            storage::keep_manifest(url, &text).await;
            Ok(manifest)
        }
        Err(error @ EngineError::Network { .. }) => match storage::kept_manifest(url).await {
            Some(text) => Ok(Manifest::parse(&text)?),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

struct Fetcher {
    url: String,
    manifest: Manifest,
    storage: Storage,
    started: Instant,
    stored: u64,
    fetched: u64,
}

impl Fetcher {
    fn report(&self, attempt: u32) {
        let seconds = self.started.elapsed().as_secs_f64();
        say(&Event::Download(Download {
            bytes: self.stored as f64,
            of: self.manifest.size as f64,
            fetched: self.fetched as f64,
            bytes_per_second: (self.fetched > 0 && seconds > 0.0).then(|| self.fetched as f64 / seconds),
            attempt,
        }));
    }

    fn bounds(&self, range: usize) -> (u64, u64) {
        self.manifest.range(range).unwrap_or((0, 0))
    }

    /// Counts what an earlier visit left, and forgets what is damaged.
    fn check_stored(&mut self) {
        let verify = self.manifest.size <= VERIFY_LIMIT;
        for range in 0..self.manifest.ranges.len() {
            if !self.storage.has(range) {
                continue;
            }
            let (offset, length) = self.bounds(range);
            let whole = !verify
                || self
                    .storage
                    .get(offset, length)
                    .is_ok_and(|bytes| self.manifest.verify_range(range, &bytes).is_ok());
            if whole {
                self.stored += length;
            } else {
                self.storage.reject(range);
            }
        }
        self.report(1);
    }

    async fn fetch_range(&mut self, range: usize) -> Result<()> {
        let (offset, length) = self.bounds(range);
        let mut attempt = 1;
        loop {
            let failure = match self.try_range(range, offset, length).await {
                Ok(bytes) => {
                    self.fetched += length;
                    self.keep(range, offset, &bytes)?;
                    self.stored += length;
                    self.report(attempt);
                    return Ok(());
                }
                Err(error) => error,
            };
            // A refusal (404, 403, 416) will not change by asking again.
            let is_final = matches!(failure, EngineError::Status { status: 400..=499, .. });
            if attempt == ATTEMPTS || is_final {
                return Err(match failure {
                    EngineError::Corrupt { part, parts, .. } => EngineError::Corrupt { part, parts, attempts: attempt },
                    other => other,
                });
            }
            sleep(250 << attempt).await;
            attempt += 1;
            self.report(attempt);
        }
    }

    async fn try_range(&self, range: usize, offset: u64, length: u64) -> Result<Vec<u8>> {
        let response = fetch(&self.url, Some((offset, length))).await?;
        let whole_file = response.status() == 200;
        if whole_file && self.manifest.size > WHOLE_FILE_LIMIT {
            return Err(EngineError::Network {
                url: self.url.clone(),
                reason: "the server does not answer range requests".to_owned(),
            });
        }
        let mut bytes = response.binary().await.map_err(network(&self.url))?;
        if whole_file && bytes.len() as u64 == self.manifest.size && length < self.manifest.size {
            bytes = bytes[offset as usize..(offset + length) as usize].to_vec();
        }
        let parts = self.manifest.ranges.len();
        match self.manifest.verify_range(range, &bytes) {
            Ok(()) => Ok(bytes),
            Err(_) => Err(EngineError::Corrupt { part: range + 1, parts, attempts: 1 }),
        }
    }

    /// Stores a range; where there is no room the model is kept in memory for this visit, and the user is told.
    fn keep(&mut self, range: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        match self.storage.put(range, offset, bytes) {
            Err(error @ (EngineError::Quota(_) | EngineError::Storage(_))) if self.storage.is_kept() => {
                say(&Event::Error {
                    run: None,
                    code: ErrorCode::Quota,
                    message: format!(
                        "{error}, so the model is kept in memory and will be fetched again on the next visit"
                    ),
                    fatal: false,
                });
                self.move_to_memory();
                self.storage.put(range, offset, bytes)
            }
            other => other,
        }
    }

    fn move_to_memory(&mut self) {
        let mut memory = Storage::in_memory(&self.manifest);
        for range in 0..self.manifest.ranges.len() {
            let (offset, length) = self.bounds(range);
            if self.storage.has(range)
                && let Ok(bytes) = self.storage.get(offset, length)
            {
                drop(memory.put(range, offset, &bytes));
            }
        }
        self.storage = memory;
    }
}

/// Lets the worker hear messages between two steps.
pub async fn breathe() {
    sleep(0).await;
}
