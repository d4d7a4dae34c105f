//! Where a model's bytes are and what they must be, told from its address.

use super::{
    Result,
    error::EngineError,
    fetch::{body, fetch},
    record::{self, Record},
};
use serde::{Deserialize, Serialize};
use weights::{DEFAULT_RANGE_SIZE, Manifest};

/// A model's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    /// The model's address: of a manifest, or of a file with `#sha256=…&size=…` behind it.
    pub url: String,
    /// Where the file is.
    pub file_url: String,
    /// What it must be; the hashes of ranges are empty while only that of the whole file is known.
    pub manifest: Manifest,
}

impl Source {
    /// The model at an address: as the server has it now, or, without a network, as an earlier visit left it.
    ///
    /// # Errors
    /// [`EngineError`] naming what the address answers.
    pub async fn resolve(url: &str) -> Result<Self> {
        if let Some(plain) = Self::of_file(url) {
            return Ok(match record::read(url).await {
                Some(Record { source, .. }) if source.manifest.sha256 == plain.manifest.sha256 => source,
                _ => plain,
            });
        }
        let fetched = match fetch(url, None, None).await {
            Ok(response) => body(url, &response).await,
            Err(error) => Err(error),
        };
        match fetched {
            Ok(text) => Self::of_manifest(url, &text),
            Err(error @ (EngineError::Network { .. } | EngineError::Unreachable { .. })) => {
                record::read(url).await.map(|record| record.source).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The model that a manifest's text describes.
    ///
    /// # Errors
    /// [`EngineError::WebPage`] and [`EngineError::Manifest`].
    pub fn of_manifest(url: &str, text: &[u8]) -> Result<Self> {
        if text.trim_ascii_start().starts_with(b"<") {
            return Err(EngineError::WebPage { url: url.to_owned() });
        }
        let manifest = Manifest::parse(text)?;
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let file_url = path
            .rsplit_once('/')
            .map_or_else(|| manifest.file.clone(), |(base, _)| format!("{base}/{}", manifest.file));
        Ok(Self { url: url.to_owned(), file_url, manifest })
    }

    /// The model of an address that states hash and size itself.
    fn of_file(url: &str) -> Option<Self> {
        let (file_url, facts) = url.split_once("#sha256=")?;
        let (sha256, size) = facts.split_once("&size=")?;
        let size: u64 = size.parse().ok()?;
        let file = file_url.split('?').next()?.rsplit('/').next()?.to_owned();
        let ranges = vec![String::new(); size.div_ceil(DEFAULT_RANGE_SIZE).min(1 << 16) as usize];
        let manifest = Manifest { file, size, sha256: sha256.to_owned(), range_size: DEFAULT_RANGE_SIZE, ranges };
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hash && size > 0).then(|| Self { url: url.to_owned(), file_url: file_url.to_owned(), manifest })
    }

    /// Whether each range has a hash of its own.
    pub fn is_hashed(&self) -> bool {
        self.manifest.ranges.first().is_none_or(|hash| !hash.is_empty())
    }

    /// Checks a range as far as that is possible before the whole file is there.
    pub fn accepts(&self, range: usize, bytes: &[u8]) -> bool {
        if self.is_hashed() {
            return self.manifest.verify_range(range, bytes).is_ok();
        }
        self.manifest.range(range).is_some_and(|(_, length)| bytes.len() as u64 == length)
    }

    /// Where a range lies.
    pub fn bounds(&self, range: usize) -> (u64, u64) {
        self.manifest.range(range).unwrap_or((0, 0))
    }

    /// How many ranges there are.
    pub const fn ranges(&self) -> usize {
        self.manifest.ranges.len()
    }
}
