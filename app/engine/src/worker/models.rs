//! What the page asks about models that are stored, or could be; none of it touches the model that is loaded.

use super::{
    Result, download,
    error::EngineError,
    fetch::{Stop, breathe},
    find, inspect, probe,
    record::{self, Record},
    say,
    source::Source,
    storage, task,
};
use protocol::{Checked, ErrorCode, Event, Request, StoredModel};
use std::{cell::RefCell, rc::Rc};

thread_local! {
    /// What is being fetched, by address.
    static FETCHES: RefCell<Vec<(String, Rc<Stop>)>> = const { RefCell::new(Vec::new()) };
}

/// Takes a request about models; anything else is given back.
pub fn handle(request: Request) -> Option<Request> {
    match request {
        Request::Models => task::spawn_about(None, list()),
        Request::Find { wanted, hub } => task::spawn_about(Some(wanted.clone()), async move {
            let offers = find::find(&wanted, &hub).await?;
            say(&Event::Found { wanted, offers });
            Ok(())
        }),
        Request::Inspect { manifest_url } => {
            task::spawn_about(Some(manifest_url.clone()), async move {
                let source = Source::resolve(&manifest_url).await?;
                say(&Event::Inspected(Box::new(inspect::details(&source).await?)));
                Ok(())
            });
        }
        Request::Fetch { manifest_url } => task::spawn_about(Some(manifest_url.clone()), fetch(manifest_url)),
        Request::Pause { manifest_url } => pause(&manifest_url),
        Request::Verify { manifest_url } => task::spawn_about(Some(manifest_url.clone()), verify(manifest_url)),
        Request::Forget { manifest_url } => task::spawn_about(Some(manifest_url.clone()), async move {
            record::delete(&manifest_url).await?;
            say(&Event::Forgotten { manifest_url });
            Ok(())
        }),
        Request::Probe => task::spawn_about(None, async {
            say(&Event::Probed(probe::probe().await?));
            Ok(())
        }),
        other @ (Request::Load { .. } | Request::Expect { .. } | Request::Generate { .. } | Request::Cancel { .. }) => {
            return Some(other);
        }
    }
    None
}

async fn list() -> Result<()> {
    let mut models = Vec::new();
    for Record { source, details } in record::all().await {
        let flags = storage::flags(&source.manifest).await;
        let has = |range: usize| flags.get(range) == Some(&true);
        let bytes = (0..source.ranges()).filter(|&range| has(range)).map(|range| source.bounds(range).1).sum::<u64>();
        // The picture view's worker stores models without looking at their parts.
        let details = details.or_else(|| inspect::details_read_here(&source).map(Box::new));
        let parts = details.as_ref().map(|details| download::part_progress(&source, &details.parts, has));
        models.push(StoredModel {
            file: source.manifest.file.clone(),
            bytes: bytes as f64,
            of: source.manifest.size as f64,
            parts: parts.unwrap_or_default(),
            manifest_url: source.url,
            details,
        });
    }
    say(&Event::Models { models });
    Ok(())
}

async fn fetch(manifest_url: String) -> Result<()> {
    let is_new = FETCHES.with_borrow(|fetches| fetches.iter().all(|(url, _)| *url != manifest_url));
    if !is_new {
        return Ok(());
    }
    let stop = Rc::new(Stop::new());
    FETCHES.with_borrow_mut(|fetches| fetches.push((manifest_url.clone(), stop.clone())));
    let outcome = download::keep_model(&manifest_url, &stop).await;
    FETCHES.with_borrow_mut(|fetches| fetches.retain(|(url, _)| *url != manifest_url));
    match outcome {
        Ok(()) => say(&Event::Fetched { manifest_url }),
        Err(EngineError::Stopped) => say(&Event::Paused { manifest_url }),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn pause(manifest_url: &str) {
    let stop = FETCHES
        .with_borrow(|fetches| fetches.iter().find(|(url, _)| url == manifest_url).map(|(_, stop)| stop.clone()));
    match stop {
        Some(stop) => stop.ask(),
        None => say(&Event::Paused { manifest_url: manifest_url.to_owned() }),
    }
}

async fn verify(manifest_url: String) -> Result<()> {
    let Some(Record { source, .. }) = record::read(&manifest_url).await else {
        return Err(EngineError::NotStored);
    };
    if !source.is_hashed() {
        return Err(EngineError::NotWhole { file: source.manifest.file });
    }
    let flags = storage::flags(&source.manifest).await;
    let stored: Vec<usize> = (0..source.ranges()).filter(|&range| flags.get(range) == Some(&true)).collect();
    let of = stored.iter().map(|&range| source.bounds(range).1).sum::<u64>() as f64;
    let mut bytes = 0.0;
    let mut damaged = Vec::new();
    for &range in &stored {
        let (offset, length) = source.bounds(range);
        // A file that was cut short gives fewer bytes, which is damage and no failure.
        let is_whole = storage::read_stretch(&source.manifest.sha256, offset, length)
            .await
            .is_ok_and(|read| source.accepts(range, &read));
        if !is_whole {
            damaged.push(range);
        }
        bytes += length as f64;
        say(&Event::Checking { manifest_url: manifest_url.clone(), bytes, of });
        breathe().await;
    }
    if !damaged.is_empty() {
        storage::reject(&source.manifest, &damaged).await?;
    }
    let (ranges, damaged) = (stored.len() as u32, damaged.len() as u32);
    say(&Event::Checked(Checked { manifest_url, ranges, damaged }));
    Ok(())
}

/// The event that tells the page of a failure about a model.
pub fn failure(manifest_url: Option<String>, error: &EngineError) -> Event {
    let (code, message): (ErrorCode, String) = error.told();
    Event::ModelFailed { manifest_url, code, message }
}
