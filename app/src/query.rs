//! What the page's address asks for.

use crate::device;
use leptos::prelude::*;
use protocol::DeviceChoice;
use web_sys::{Url, UrlSearchParams};

/// The model that the page loads unless its address names another.
const MANIFEST_URL: &str = "/models/demo/demo-q8_0.gguf.manifest.json";

fn parameter(name: &str) -> Option<String> {
    let query = window().location().search().ok()?;
    UrlSearchParams::new_with_str(&query).ok()?.get(name)
}

/// URL of the manifest to load: `?model=`, when it stays on this origin, else the demo model's.
pub fn manifest_url() -> String {
    let of_this_origin = || {
        let origin = window().location().origin().ok()?;
        let url = Url::new_with_base(&parameter("model")?, &format!("{origin}/")).ok()?;
        (url.origin() == origin).then(|| url.pathname() + &url.search())
    };
    of_this_origin().unwrap_or_else(|| MANIFEST_URL.to_owned())
}

/// The device of `?device=`, else the measured one.
pub fn device() -> DeviceChoice {
    parameter("device").and_then(|word| device::from_word(&word)).unwrap_or_default()
}
