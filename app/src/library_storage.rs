//! What this browser remembers of models between visits, beside their bytes: which were added, which are wanted, which one draws.

use leptos::prelude::*;
use protocol::ProbeReport;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use web_sys::Storage;

const MODELS: &str = "darkroom-models";
const CHOSEN: &str = "darkroom-model";
const PROBE: &str = "darkroom-probe";

/// A model that the visitor added or asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// URL of its manifest.
    pub url: String,
    /// It was being fetched, and was not paused.
    pub is_wanted: bool,
}

/// A browser may refuse to store anything, and says so in several ways.
fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

fn read<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_str(&storage()?.get_item(name).ok()??).ok()
}

fn write(name: &str, value: &impl Serialize) {
    if let (Some(storage), Ok(text)) = (storage(), serde_json::to_string(value)) {
        // Without room it is forgotten with this visit, and asked again on the next.
        storage.set_item(name, &text).ok();
    }
}

/// The models, in the order in which they came.
pub fn known() -> Vec<Known> {
    read(MODELS).unwrap_or_default()
}

/// Remembers a model, and whether it is to be fetched.
pub fn remember(url: &str, is_wanted: bool) {
    let mut known = known();
    match known.iter_mut().find(|known| known.url == url) {
        Some(known) => known.is_wanted = is_wanted,
        None => known.push(Known { url: url.to_owned(), is_wanted }),
    }
    write(MODELS, &known);
}

/// Forgets a model.
pub fn forget(url: &str) {
    let mut known = known();
    known.retain(|known| known.url != url);
    write(MODELS, &known);
}

/// The model that draws, if the visitor chose one.
pub fn chosen() -> Option<String> {
    read(CHOSEN)
}

/// Remembers the model that draws; `None` is the page's own.
pub fn choose(url: Option<&str>) {
    match (url, storage()) {
        (Some(url), _) => write(CHOSEN, &url),
        (None, Some(storage)) => {
            storage.remove_item(CHOSEN).ok();
        }
        (None, None) => {}
    }
}

/// What this device was measured at.
pub fn probe() -> Option<ProbeReport> {
    read(PROBE)
}

/// Remembers what this device was measured at.
pub fn keep_probe(probe: &ProbeReport) {
    write(PROBE, probe);
}
