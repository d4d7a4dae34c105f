//! Pictures in R2, everything of an account under its name.

use crate::error::{Failure, Result};
use std::collections::HashMap;
use worker::{Bucket, Env, HttpMetadata};

/// The bucket.
///
/// # Errors
/// It is not bound.
pub fn bucket(env: &Env) -> Result<Bucket> {
    Ok(env.bucket("PICTURES")?)
}

/// Stores a file; R2 refuses it when its SHA-256 is another, and answers only when it is durable.
///
/// # Errors
/// [`Failure`]; then nothing is stored.
pub async fn put(env: &Env, key: &str, bytes: Vec<u8>, sha256: [u8; 32], media_type: &str) -> Result<()> {
    let metadata = HttpMetadata { content_type: Some(media_type.to_owned()), ..HttpMetadata::default() };
    let custom = HashMap::from([("sha256".to_owned(), crate::random::hex(&sha256))]);
    let bucket = bucket(env)?;
    let put = bucket.put(key, bytes).http_metadata(metadata).custom_metadata(custom).sha256(sha256.to_vec());
    let object = put.execute().await?;
    object.map(drop).ok_or_else(|| Failure::internal("R2 did not store a file"))
}

/// The recorded SHA-256 of a file that is there.
///
/// # Errors
/// [`Failure`] when R2 cannot be asked.
pub async fn sha256(env: &Env, key: &str) -> Result<Option<String>> {
    let Some(object) = bucket(env)?.head(key).await? else { return Ok(None) };
    Ok(object.custom_metadata()?.remove("sha256"))
}

/// A whole file.
///
/// # Errors
/// [`Failure`] when R2 cannot be asked.
pub async fn get(env: &Env, key: &str) -> Result<Option<Vec<u8>>> {
    let Some(object) = bucket(env)?.get(key).execute().await? else { return Ok(None) };
    let Some(body) = object.body() else { return Ok(None) };
    Ok(Some(body.bytes().await?))
}

/// Deletes one file; one that is not there is deleted.
///
/// # Errors
/// [`Failure`] when R2 cannot be asked.
pub async fn delete(env: &Env, key: &str) -> Result<()> {
    Ok(bucket(env)?.delete(key).await?)
}

/// Files under a prefix that were stored before a time, in milliseconds.
///
/// # Errors
/// [`Failure`] when R2 cannot be asked.
pub async fn older(env: &Env, prefix: &str, before: u64) -> Result<Vec<String>> {
    let bucket = bucket(env)?;
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let mut list = bucket.list().prefix(prefix).limit(500);
        if let Some(cursor) = cursor {
            list = list.cursor(cursor);
        }
        let page = list.execute().await?;
        let old = page.objects().into_iter().filter(|object| object.uploaded().as_millis() < before);
        keys.extend(old.map(|object| object.key()));
        cursor = page.cursor().filter(|_| page.truncated());
        if cursor.is_none() {
            return Ok(keys);
        }
    }
}

/// Deletes everything under a prefix.
///
/// # Errors
/// [`Failure`] when R2 cannot be asked; some may be gone then, and the call can be made again.
pub async fn delete_prefix(env: &Env, prefix: &str) -> Result<()> {
    let bucket = bucket(env)?;
    loop {
        let page = bucket.list().prefix(prefix).limit(500).execute().await?;
        let keys: Vec<String> = page.objects().iter().map(worker::Object::key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        bucket.delete_multiple(keys).await?;
    }
}
