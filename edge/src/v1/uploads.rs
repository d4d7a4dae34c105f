//! `/v1/uploads`: pictures that later requests name.

use crate::{
    account::op::{Op, UploadRecord},
    call as calls, config,
    error::{Failure, Result},
    http::{self, Call, Presented},
    inputs, objects, random,
};
use api::v1::{Code, Upload, rfc3339};
use gateway::{
    clock::Millis,
    signed_url::{self, Grant},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use worker::Response;

/// Stores a picture: the whole body, or one file of a form.
pub async fn create(call: &Call, who: &Presented) -> Result<Response> {
    // Nobody without a key makes the edge store anything.
    call.ask::<Value>(who, Op::Admit).await?;
    let mut bytes = call.bytes().await?;
    let kind = call.header("content-type").unwrap_or_default();
    if kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let body = api::body::read(Some(&kind), &bytes)?;
        let [file] = body.files.as_slice() else {
            return Err(Failure::new(Code::InvalidRequest, "the form must have exactly one file"));
        };
        bytes = bytes.get(file.bytes.clone()).unwrap_or_default().to_vec();
    }
    let upload = store(call, who, "file", bytes).await?;
    http::json(201, &shown(&upload))
}

/// Stores the picture of a field as an upload of the account; nothing stays where it cannot be recorded.
///
/// # Errors
/// [`Failure`] naming the field, or what the account says.
pub async fn store(call: &Call, who: &Presented, field: &str, bytes: Vec<u8>) -> Result<UploadRecord> {
    let header = inputs::header(field, &bytes)?;
    let id = random::name("up_")?;
    let object = format!("{}/uploads/{id}", who.account);
    let sha256: [u8; 32] = Sha256::digest(&bytes).into();
    objects::put(&call.env, &object, bytes, sha256, header.format.media_type()).await?;
    let upload = UploadRecord {
        id,
        object,
        width: header.width,
        height: header.height,
        sha256: random::hex(&sha256),
        expires: config::now().0 + call.config.kept_temporary.0,
    };
    if let Err(failure) = call.ask::<()>(who, Op::AddUpload(upload.clone())).await {
        objects::delete(&call.env, &upload.object).await?;
        return Err(failure);
    }
    Ok(upload)
}

/// An upload, as it is listed.
pub fn shown(upload: &UploadRecord) -> Upload {
    Upload {
        id: upload.id.clone(),
        width: upload.width,
        height: upload.height,
        sha256: upload.sha256.clone(),
        expires_at: rfc3339(upload.expires),
    }
}

/// Deletes an upload.
pub async fn delete(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    let upload: UploadRecord = call.ask(who, Op::DeleteUpload { id: id.to_owned() }).await?;
    objects::delete(&call.env, &upload.object).await?;
    http::empty(204)
}

/// A signed link to an upload, which the older dialect answers `base64_to_url` with.
pub fn url(call: &Call, account: &str, upload: &UploadRecord) -> String {
    let path = format!("/uploads/{account}/{}.png", upload.id);
    let grant = Grant { method: "GET", path: &path, tenant: account, expires: Millis(upload.expires) };
    format!("{}{path}?{}", call.base(), signed_url::sign(&call.config.signing, grant))
}

/// Serves such a link.
pub async fn serve(call: &Call, account: &str, file: &str) -> Result<Response> {
    http::reads_only(call)?;
    let keys = std::slice::from_ref(&call.config.signing);
    let verified = signed_url::verify(keys, "GET", &call.path, account, &call.raw_query, config::now());
    verified.map_err(|error| Failure::new(Code::Forbidden, error.to_string()))?;
    let id = file.split('.').next().unwrap_or_default().to_owned();
    // Only the account knows whether it was deleted meanwhile.
    let upload: UploadRecord = calls::for_edge(&call.env, account, Op::Upload { id }).await?;
    let object = objects::bucket(&call.env)?.get(upload.object).execute().await?;
    let object = object.ok_or_else(Failure::not_found)?;
    let headers = worker::Headers::new();
    let kind = object.http_metadata().content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
    headers.set("content-type", &kind)?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("content-security-policy", "default-src 'none'; sandbox")?;
    headers.set("cache-control", "private, max-age=3600")?;
    let Some(body) = object.body() else { return Err(Failure::not_found()) };
    Ok(Response::from_body(body.response_body()?)?.with_headers(headers))
}
