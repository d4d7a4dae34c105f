//! What the page's address asks for.

use crate::{device, library_storage};
use leptos::prelude::*;
use protocol::{DeviceChoice, HUB};
use web_sys::{Url, UrlSearchParams};

/// The model that the page loads unless its address, or the visitor, names another.
pub const MANIFEST_URL: &str = "/models/demo/demo-q8_0.gguf.manifest.json";

fn parameter(name: &str) -> Option<String> {
    let query = window().location().search().ok()?;
    UrlSearchParams::new_with_str(&query).ok()?.get(name)
}

/// URL of the manifest to load: `?model=`, when it stays on this origin, else what the visitor chose, else the demo model's.
pub fn manifest_url() -> String {
    let of_this_origin = || {
        let origin = window().location().origin().ok()?;
        let url = Url::new_with_base(&parameter("model")?, &format!("{origin}/")).ok()?;
        (url.origin() == origin).then(|| url.pathname() + &url.search())
    };
    of_this_origin().or_else(library_storage::chosen).unwrap_or_else(|| MANIFEST_URL.to_owned())
}

/// An address as the page knows it: without its own origin, so that one model has one address.
pub fn of_this_page(address: &str) -> String {
    let origin = window().location().origin().unwrap_or_default();
    match address.strip_prefix(&origin) {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => address.to_owned(),
    }
}

/// Where Hub names are looked up: `?hub=`, else the public Hub.
pub fn hub() -> String {
    parameter("hub")
        .filter(|hub| !hub.is_empty())
        .map_or_else(|| HUB.to_owned(), |hub| hub.trim_end_matches('/').to_owned())
}

/// The device of `?device=`, else the measured one.
pub fn device() -> DeviceChoice {
    parameter("device").and_then(|word| device::from_word(&word)).unwrap_or_default()
}
