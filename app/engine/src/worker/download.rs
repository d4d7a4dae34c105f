//! Fetching a model range by range: verified, stored, resumed, retried, and stopped when asked to.

use super::{
    Result,
    error::EngineError,
    fetch::{Stop, body, body_in_parts, fetch, sleep, whole_length},
    inspect, record, say,
    source::Source,
    storage::Storage,
};
use protocol::{Download, ErrorCode, Event, Fetching, ModelPart, PartProgress};
use std::rc::Rc;
use web_time::Instant;
use weights::Manifest;

const ATTEMPTS: u32 = 4;
/// A server that ignores ranges may send the whole file only when it is at most this large.
pub const WHOLE_FILE_LIMIT: u64 = 64 << 20;
/// Files up to this size are verified again on every visit; larger ones were verified when they were stored.
const VERIFY_LIMIT: u64 = 64 << 20;

/// Fetches what is not here yet of a model that is to be kept for later.
///
/// # Errors
/// As [`fetch_model`], and [`EngineError::Stopped`] once `stop` says so.
pub async fn keep_model(manifest_url: &str, stop: &Stop) -> Result<()> {
    let source = Source::resolve(manifest_url).await?;
    // Before anything large is fetched it is known that this is a model.
    let details = inspect::details(&source).await?;
    record::keep(&source, Some(Box::new(details.clone()))).await?;
    let storage = Rc::new(Storage::open_files(&source.manifest).await?);
    Fetcher::new(source, storage, Listener::Keep { stop, parts: details.parts }).run().await
}

/// How much of each part of a file is stored, of which these ranges are.
pub fn part_progress(source: &Source, parts: &[ModelPart], has: impl Fn(usize) -> bool) -> Vec<PartProgress> {
    let stored: Vec<(f64, f64)> = (0..source.ranges())
        .filter(|&range| has(range))
        .map(|range| source.bounds(range))
        .map(|(offset, length)| (offset as f64, length as f64))
        .collect();
    parts.iter().map(|part| part.progress(&stored)).collect()
}

/// Who wants the model.
enum Listener<'a> {
    /// The picture view, now: without room it gets the model in memory.
    Load { stop: &'a Stop },
    /// The visitor, for later: without room it cannot be had.
    Keep { stop: &'a Stop, parts: Vec<ModelPart> },
}

pub struct Fetcher<'a> {
    source: Source,
    storage: Rc<Storage>,
    listener: Listener<'a>,
    started: Instant,
    stored: u64,
    fetched: u64,
}

impl<'a> Fetcher<'a> {
    fn new(source: Source, storage: Rc<Storage>, listener: Listener<'a>) -> Self {
        Self { source, storage, listener, started: Instant::now(), stored: 0, fetched: 0 }
    }

    /// Of a model that is wanted now, for as long as `wanted` is.
    pub fn of_wanted(source: Source, storage: Rc<Storage>, wanted: &'a Stop) -> Self {
        Self::new(source, storage, Listener::Load { stop: wanted })
    }

    /// Fetches what is missing, in the order of the file.
    ///
    /// # Errors
    /// [`EngineError`]; what was verified stays stored.
    pub async fn run(mut self) -> Result<()> {
        self.check_stored();
        for range in 0..self.source.ranges() {
            if !self.storage.has(range) {
                self.fetch_range(range).await?;
            }
        }
        if !self.source.is_hashed() {
            self.seal().await?;
        }
        self.report(1);
        Ok(())
    }

    const fn stop(&self) -> &'a Stop {
        match self.listener {
            Listener::Load { stop } | Listener::Keep { stop, .. } => stop,
        }
    }

    fn report(&self, attempt: u32) {
        self.tell(attempt, 0.0);
    }

    /// Tells what is verified, and how much of a range is on its way.
    fn tell(&self, attempt: u32, arriving: f64) {
        let seconds = self.started.elapsed().as_secs_f64();
        let fetched = self.fetched as f64 + arriving;
        let download = Download {
            bytes: self.stored as f64,
            of: self.source.manifest.size as f64,
            fetched: self.fetched as f64,
            bytes_per_second: (fetched > 0.0 && seconds > 0.0).then(|| fetched / seconds),
            attempt,
        };
        say(&match &self.listener {
            Listener::Load { .. } => Event::Download(download),
            Listener::Keep { parts, .. } => {
                let parts = part_progress(&self.source, parts, |range| self.storage.has(range));
                Event::Fetching(Fetching { manifest_url: self.source.url.clone(), download, arriving, parts })
            }
        });
    }

    /// Counts what an earlier visit left, and forgets what is damaged.
    fn check_stored(&mut self) {
        let verify = self.source.manifest.size <= VERIFY_LIMIT;
        for range in 0..self.source.ranges() {
            if !self.storage.has(range) {
                continue;
            }
            let (offset, length) = self.source.bounds(range);
            let whole =
                !verify || self.storage.get(offset, length).is_ok_and(|bytes| self.source.accepts(range, &bytes));
            if whole {
                self.stored += length;
            } else {
                self.storage.reject(range);
            }
        }
        self.report(1);
    }

    async fn fetch_range(&mut self, range: usize) -> Result<()> {
        let (offset, length) = self.source.bounds(range);
        let mut attempt = 1;
        loop {
            let outcome = self.try_range(range, offset, length).await;
            if self.stop().is_asked() && outcome.is_err() {
                return Err(EngineError::Stopped);
            }
            let failure = match outcome {
                Ok(bytes) => {
                    self.fetched += length;
                    self.keep(range, offset, &bytes)?;
                    self.stored += length;
                    self.report(attempt);
                    return if self.stop().is_asked() { Err(EngineError::Stopped) } else { Ok(()) };
                }
                Err(error) => error,
            };
            // A refusal (404, 403, 416) will not change by asking again, nor will a server that knows no ranges.
            let is_final = matches!(
                failure,
                EngineError::Status { status: 400..=499, .. }
                    | EngineError::NoRanges { .. }
                    | EngineError::OtherSize { .. }
                    | EngineError::Insecure { .. }
            );
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
        let Source { file_url, manifest, .. } = &self.source;
        let response = fetch(file_url, Some((offset, length)), Some(self.stop())).await?;
        check_length(&self.source, whole_length(&response))?;
        let whole_file = response.status() == 200;
        if whole_file && manifest.size > WHOLE_FILE_LIMIT {
            return Err(EngineError::NoRanges { url: file_url.clone() });
        }
        let mut bytes = match self.listener {
            Listener::Load { .. } => body(file_url, &response).await?,
            Listener::Keep { .. } => {
                body_in_parts(file_url, &response, length, |arrived| self.tell(1, arrived as f64)).await?
            }
        };
        if whole_file && bytes.len() as u64 == manifest.size && length < manifest.size {
            bytes = bytes[offset as usize..(offset + length) as usize].to_vec();
        }
        if self.source.accepts(range, &bytes) {
            Ok(bytes)
        } else {
            Err(EngineError::Corrupt { part: range + 1, parts: self.source.ranges(), attempts: 1 })
        }
    }

    /// Stores a range; where there is no room, a model that is wanted now is kept in memory for this visit, and the user is told.
    fn keep(&mut self, range: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        match self.storage.put(range, offset, bytes) {
            Err(error @ (EngineError::Quota(_) | EngineError::Storage(_)))
                if self.storage.is_kept() && matches!(self.listener, Listener::Load { .. }) =>
            {
                say(&Event::Error {
                    run: None,
                    code: ErrorCode::Quota,
                    message: format!(
                        "{error}, so the model is kept in memory and will be fetched again on the next visit"
                    ),
                    fatal: false,
                });
                self.storage.move_to_memory(&self.source.manifest);
                self.storage.put(range, offset, bytes)
            }
            other => other,
        }
    }

    /// Hashes a whole file of which only that hash is known, and remembers the hashes of its ranges from now on.
    async fn seal(&mut self) -> Result<()> {
        let wanted = &self.source.manifest;
        let found = Manifest::of(&*self.storage, &wanted.file, wanted.range_size)?;
        if found.sha256 == wanted.sha256 {
            self.source.manifest = found;
            drop(record::keep(&self.source, None).await);
            return Ok(());
        }
        // Nobody knows which range it is.
        (0..self.source.ranges()).for_each(|range| self.storage.reject(range));
        Err(EngineError::OtherHash { file: self.source.manifest.file.clone() })
    }
}

/// Compares what the manifest says with what the server has.
///
/// # Errors
/// [`EngineError::OtherSize`].
pub fn check_length(source: &Source, found: Option<u64>) -> Result<()> {
    let Manifest { file, size, .. } = &source.manifest;
    match found {
        Some(found) if found != *size => Err(EngineError::OtherSize { file: file.clone(), stated: *size, found }),
        _ => Ok(()),
    }
}
