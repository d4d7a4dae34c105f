//! The one way to start a task: its failure reaches the page.

use super::{Result, models, wire};

/// Runs a task; an error becomes an event about `run`, or about loading.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the lint asks for")]
pub fn spawn(run: Option<u32>, task: impl Future<Output = Result<()>> + 'static) {
    wasm_bindgen_futures::spawn_local(async move {
        if let Err(error) = task.await {
            wire::post(&error.event(run), None);
        }
    });
}

/// Runs a task; an error becomes an event about a model.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper that the lint asks for")]
pub fn spawn_about(manifest_url: Option<String>, task: impl Future<Output = Result<()>> + 'static) {
    wasm_bindgen_futures::spawn_local(async move {
        if let Err(error) = task.await {
            wire::post(&models::failure(manifest_url, &error), None);
        }
    });
}
