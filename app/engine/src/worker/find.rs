//! From what a visitor wrote to models that can be added; nothing of a model is fetched for that.

use super::{
    Result,
    error::EngineError,
    fetch::{body, fetch},
    source::Source,
};
use protocol::{Offer, Wanted};
use serde::Deserialize;

/// The models behind an address or a Hub name, at least one.
///
/// # Errors
/// [`EngineError`] saying what is there instead, and what to do.
pub async fn find(wanted: &str, hub: &str) -> Result<Vec<Offer>> {
    match Wanted::parse(wanted, hub)? {
        Wanted::Manifest(url) => Ok(vec![manifest(&url).await?]),
        Wanted::File(url) => Ok(vec![file(&url, hub).await?]),
        Wanted::Repository { owner, name } => repository(hub, &format!("{owner}/{name}")).await,
    }
}

async fn manifest(url: &str) -> Result<Offer> {
    let text = body(url, &fetch(url, None, None).await?).await?;
    let Source { url, manifest, .. } = Source::of_manifest(url, &text)?;
    Ok(Offer { manifest_url: url, file: manifest.file, size_bytes: Some(manifest.size as f64) })
}

/// Names that a file's manifest may have.
fn manifest_names(file: &str) -> [String; 3] {
    let stem = file.strip_suffix(".gguf").unwrap_or(file);
    [format!("{file}.manifest.json"), format!("{file}.json"), format!("{stem}.json")]
}

/// A file, by its manifest, or by what the Hub knows of it if it lies there.
async fn file(url: &str, hub: &str) -> Result<Offer> {
    match beside(url).await {
        Err(error @ EngineError::NoManifest { .. }) => {
            let Some((repository_name, path)) = place_on_hub(url, hub) else { return Err(error) };
            let offers = repository(hub, repository_name).await?;
            offers.into_iter().find(|offer| offer.file == path).ok_or(error)
        }
        other => other,
    }
}

/// The repository and the path of a file of the Hub.
fn place_on_hub<'a>(url: &'a str, hub: &str) -> Option<(&'a str, &'a str)> {
    let path = url.split(['?', '#']).next()?.strip_prefix(hub)?.strip_prefix('/')?;
    path.split_once("/resolve/main/")
}

async fn beside(url: &str) -> Result<Offer> {
    let file = url.split(['?', '#']).next().unwrap_or(url);
    for name in manifest_names(file) {
        match manifest(&name).await {
            Err(EngineError::Status { status: 400..=499, .. } | EngineError::WebPage { .. }) => {}
            other => return other,
        }
    }
    Err(EngineError::NoManifest { url: file.to_owned() })
}

/// A file of a repository, as the Hub lists it.
#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

/// What the Hub knows of a large file.
#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: Option<u64>,
}

async fn repository(hub: &str, repository: &str) -> Result<Vec<Offer>> {
    let url = format!("{hub}/api/models/{repository}/tree/main?recursive=true");
    let unknown = || EngineError::NoRepository { repository: repository.to_owned(), hub: hub.to_owned() };
    let response = match fetch(&url, None, None).await {
        // The Hub does not tell strangers what is private from what is not there.
        Err(EngineError::Status { status: 401 | 403 | 404, .. }) => return Err(unknown()),
        other => other?,
    };
    let text = body(&url, &response).await?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&text).map_err(|source| EngineError::Hub { hub: hub.to_owned(), source })?;
    let offers: Vec<Offer> = entries.iter().filter_map(|entry| offer(hub, repository, entry, &entries)).collect();
    if offers.is_empty() { Err(unconverted(repository, &entries)) } else { Ok(offers) }
}

/// A model that has a manifest beside it, or whose hash the Hub knows.
fn offer(hub: &str, repository: &str, entry: &Entry, entries: &[Entry]) -> Option<Offer> {
    let Entry { path, size, lfs } = entry;
    if !path.to_lowercase().ends_with(".gguf") {
        return None;
    }
    let resolve = |path: &str| format!("{hub}/{repository}/resolve/main/{path}");
    let manifest = manifest_names(path).into_iter().find(|name| entries.iter().any(|entry| entry.path == *name));
    let size = lfs.as_ref().and_then(|lfs| lfs.size).unwrap_or(*size);
    let manifest_url = match (manifest, lfs) {
        (Some(manifest), _) => resolve(&manifest),
        (None, Some(lfs)) => format!("{}#sha256={}&size={size}", resolve(path), lfs.oid.trim_start_matches("sha256:")),
        (None, None) => return None,
    };
    Some(Offer { manifest_url, file: path.clone(), size_bytes: Some(size as f64) })
}

fn unconverted(repository: &str, entries: &[Entry]) -> EngineError {
    let has = |endings: &[&str]| {
        entries.iter().any(|entry| endings.iter().any(|ending| entry.path.to_lowercase().ends_with(ending)))
    };
    let name = repository.rsplit('/').next().unwrap_or(repository).to_owned();
    let repository = repository.to_owned();
    if has(&[".safetensors"]) {
        EngineError::Unconverted {
            repository,
            name,
            what: "safetensors, which a browser cannot fetch in verified parts",
        }
    } else if has(&[".ckpt", ".pt", ".pth", ".bin", ".pkl"]) {
        let what = "pickled checkpoints, which can run any code when they are read and are refused";
        EngineError::Unconverted { repository, name, what }
    } else {
        EngineError::NoModel { repository }
    }
}
