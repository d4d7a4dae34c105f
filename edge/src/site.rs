//! The playground's files and the documents about the API, under the header fields that the page is meant to run with.

use crate::{
    error::{Failure, Result},
    http::{self, Call},
};
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{
    Response,
    wasm_bindgen::{JsCast as _, JsValue},
    web_sys::{self, Request},
};

#[wasm_bindgen(module = "/src/ranges.js")]
extern "C" {
    /// What the assets binding answers, cut to the range that is asked for.
    #[wasm_bindgen(catch)]
    async fn ranged(assets: &JsValue, request: &Request) -> std::result::Result<JsValue, JsValue>;
}

// Visitors add models from any server: over https, or from their own machine.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self' https: http://localhost:* http://127.0.0.1:*; worker-src 'self'; manifest-src 'self'; \
                      font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const FIELDS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];

/// Serves a file; `/docs` is the page that explains the API.
///
/// # Errors
/// The path takes no such method, or nothing is there.
pub async fn serve(call: &Call) -> Result<Response> {
    http::reads_only(call)?;
    let assets: JsValue =
        js_sys::Reflect::get(&call.env, &"ASSETS".into()).map_err(|_| Failure::internal("ASSETS is not bound"))?;
    let asked = if call.path == "/docs" || call.path.starts_with("/docs/") {
        &Request::new_with_str(&format!("{}/docs.html", call.origin)).map_err(|error| unaskable(&error))?
    } else {
        &call.request
    };
    let answer = ranged(&assets, asked).await.map_err(|error| Failure::internal(format!("{error:?}")))?;
    let answer: web_sys::Response =
        answer.dyn_into().map_err(|_| Failure::internal("ASSETS answered something else"))?;
    let response = http::copied(Response::from(answer))?;
    let headers = response.headers();
    for (name, value) in FIELDS {
        headers.set(name, value)?;
    }
    if headers.get("content-type")?.is_none() {
        headers.set("content-type", "application/octet-stream")?;
    }
    let is_served = (200..300).contains(&response.status_code()) || response.status_code() == 304;
    let unchanging = is_served && is_hashed(&call.path);
    headers.set("cache-control", if unchanging { "public, max-age=31536000, immutable" } else { "no-cache" })?;
    Ok(response)
}

fn unaskable(error: &JsValue) -> Failure {
    Failure::internal(format!("a file cannot be asked for: {error:?}"))
}

/// Whether a file's name changes with its content, as in `playground-1f0c93de5a7b2244_bg.wasm`.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, _)) = name.split_once('.') else { return false };
    let Some((_, hash)) = stem.strip_suffix("_bg").unwrap_or(stem).rsplit_once('-') else { return false };
    (12..=16).contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}
