//! Jobs in each dialect's words.

use crate::{
    account::{
        life::status,
        op::{Dialect, JobRecord},
    },
    config::Config,
    dispatcher::Place,
};
use api::{
    modelslab::{self, Family, JobView},
    v1::{Job, JobError, Links, PictureLink, rfc3339},
};
use gateway::{
    clock::Millis,
    job::State,
    signed_url::{self, Grant},
};
use serde_json::Value;

/// The path of a job's picture, without its signature; it is known before the picture is.
pub fn picture_path(record: &JobRecord, index: usize) -> String {
    let name = modelslab::file_name(&record.file_prefix, index);
    format!("/pictures/{}/{}/{name}", record.account, record.number)
}

/// A link to a picture, which works as long as the picture is kept.
pub fn picture_url(config: &Config, record: &JobRecord, index: usize) -> String {
    let path = picture_path(record, index);
    let kept = if record.request.delivery.temporary { config.kept_temporary } else { config.kept };
    // Whole hours from the beginning, so that the link is the same before and after the picture is there.
    let expires = Millis(record.created + kept.0 + 3_600_000);
    let grant = Grant { method: "GET", path: &path, tenant: &record.account, expires };
    format!("{}{path}?{}", record.base, signed_url::sign(&config.signing, grant))
}

/// Links to all pictures that a job has, or will have.
pub fn picture_urls(config: &Config, record: &JobRecord) -> Vec<String> {
    (0..record.request.task.outputs() as usize).map(|index| picture_url(config, record, index)).collect()
}

/// A job as `/v1` says it.
pub fn job(config: &Config, record: &JobRecord, place: Option<Place>) -> Job {
    let is_shown = record.state == State::Succeeded && !record.is_deleted;
    let pictures = record.pictures.iter().enumerate().filter(|_| is_shown).map(|(index, made)| PictureLink {
        url: picture_url(config, record, index),
        seed: made.seed,
        width: made.width,
        height: made.height,
        sha256: made.sha256.clone(),
        flagged: made.is_flagged,
        base64: None,
    });
    let is_over = record.state.is_over();
    let failed = || record.error.clone().unwrap_or_else(|| "it was tried three times".to_owned());
    Job {
        id: record.id.clone(),
        status: status(record.state),
        task: (&record.request.task).into(),
        model: record.model.clone(),
        price: record.price,
        created_at: rfc3339(record.created),
        finished_at: record.finished.map(rfc3339),
        position: place.map(|place| place.ahead as u64),
        eta_seconds: if is_over { None } else { Some(place.map_or(record.eta, |place| place.eta)) },
        progress: record.progress.filter(|_| !is_over).map(Into::into),
        pictures: pictures.collect(),
        error: (record.state == State::Failed).then(|| JobError::failed(failed())),
        expires_at: record.expires.map(rfc3339),
        links: Links::of(&record.id),
    }
}

/// The family that a job was asked for in, for answers and meta.
pub const fn family(record: &JobRecord) -> Family {
    match record.dialect {
        Dialect::ModelsLab { family } => family,
        Dialect::V1 => Family::Community,
    }
}

/// What the older dialect tells a webhook.
pub fn dialect_webhook(config: &Config, record: &JobRecord) -> Value {
    let track_id = record.request.delivery.track_id.as_ref();
    if record.state != State::Succeeded {
        let why = record.error.as_deref().unwrap_or("the job was cancelled");
        return modelslab::webhook_failed(record.number, why, track_id);
    }
    let family = family(record);
    let meta = modelslab::meta(family, &record.request, &record.model, &record.file_prefix);
    let output = picture_urls(config, record);
    let view = JobView {
        output: &output,
        generation_time: record.seconds,
        nsfw: record.pictures.iter().any(|picture| picture.is_flagged),
        ..JobView::new(family, record.number, &meta)
    };
    modelslab::webhook_success(view, track_id)
}
