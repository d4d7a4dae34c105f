//! What is remembered of each model beside its bytes, so that later visits know it: one small JSON file a model.

use super::{Result, error::EngineError, source::Source, storage};
use protocol::ModelDetails;
use serde::{Deserialize, Serialize};
use weights::sha256_hex;

const ENDING: &str = ".json";

/// A model that was opened here once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Where it is from and what it must be.
    pub source: Source,
    /// What it is, once its header was read.
    pub details: Option<Box<ModelDetails>>,
}

fn name(url: &str) -> String {
    format!("{}{ENDING}", sha256_hex(url.as_bytes()))
}

/// What is remembered of the model at an address.
pub async fn read(url: &str) -> Option<Record> {
    serde_json::from_slice(&storage::read_small(&name(url)).await?).ok()
}

/// Remembers where a model is from, and what it is if that is known; bytes of a file that it had before are deleted.
///
/// # Errors
/// [`EngineError::Storage`] when the browser refuses.
pub async fn keep(source: &Source, details: Option<Box<ModelDetails>>) -> Result<()> {
    let before = read(&source.url).await;
    let was = before.as_ref().map(|record| record.source.manifest.sha256.clone());
    let is_same = was.as_ref() == Some(&source.manifest.sha256);
    let details = details.or_else(|| before.filter(|_| is_same).and_then(|record| record.details));
    let record = Record { source: source.clone(), details };
    let text = serde_json::to_vec(&record).map_err(|error| EngineError::Storage(error.to_string()))?;
    storage::write_small(&name(&source.url), &text).await?;
    match was {
        Some(hash) if !is_same => delete_unused(&hash).await,
        _ => Ok(()),
    }
}

/// Everything that is remembered, in the order of files and addresses.
pub async fn all() -> Vec<Record> {
    let mut records = Vec::new();
    for name in storage::names().await.unwrap_or_default() {
        if name.ends_with(ENDING)
            && let Some(text) = storage::read_small(&name).await
            && let Ok(record) = serde_json::from_slice::<Record>(&text)
        {
            records.push(record);
        }
    }
    records.sort_by(|a, b| {
        let key = |record: &Record| (record.source.manifest.file.clone(), record.source.url.clone());
        key(a).cmp(&key(b))
    });
    records
}

/// Forgets a model and deletes its bytes.
///
/// # Errors
/// [`EngineError::Storage`] when the browser refuses.
pub async fn delete(url: &str) -> Result<()> {
    let Some(record) = read(url).await else { return Ok(()) };
    storage::remove(&name(url)).await?;
    delete_unused(&record.source.manifest.sha256).await
}

/// Deletes a file that no model has any more: two addresses may lead to the same bytes.
async fn delete_unused(hash: &str) -> Result<()> {
    if all().await.iter().any(|record| record.source.manifest.sha256 == hash) {
        return Ok(());
    }
    for name in [storage::flags_name(hash), hash.to_owned()] {
        storage::remove(&name).await?;
    }
    Ok(())
}
