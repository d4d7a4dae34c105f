//! Messages as `postMessage` carries them: `{ message, bytes? }`.

use super::error::EngineError;
use js_sys::{Array, ArrayBuffer, Object, Reflect, Uint8Array};
use protocol::{BYTES_FIELD, Event, MESSAGE_FIELD, Request};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

#[wasm_bindgen::prelude::wasm_bindgen]
extern "C" {
    /// Writes to the browser's console.
    #[wasm_bindgen(js_namespace = console)]
    pub fn warn(text: &str);
}

/// This worker's global object.
pub fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Tells the page that messages are heard.
pub fn post_ready() {
    let object = Object::new();
    set(&object, "ready", &JsValue::TRUE);
    drop(scope().post_message(&object));
}

/// Sends an event; its bytes are transferred.
pub fn post(event: &Event, bytes: Option<&[u8]>) {
    let Ok(text) = serde_json::to_string(event) else { return };
    let object = Object::new();
    set(&object, MESSAGE_FIELD, &JsValue::from_str(&text));
    let transfer = Array::new();
    if let Some(bytes) = bytes {
        let buffer = Uint8Array::from(bytes).buffer();
        set(&object, BYTES_FIELD, &buffer);
        transfer.push(&buffer);
    }
    // A worker whose page is gone has nobody left to tell.
    drop(scope().post_message_with_transfer(&object, &transfer));
}

fn set(object: &Object, field: &str, value: &JsValue) {
    drop(Reflect::set(object, &JsValue::from_str(field), value));
}

/// Reads a request and its bytes.
///
/// # Errors
/// [`EngineError::Message`] when it is not one.
pub fn read(event: &MessageEvent) -> Result<(Request, Option<Vec<u8>>), EngineError> {
    let data = event.data();
    let field = |name: &str| Reflect::get(&data, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
    let text = field(MESSAGE_FIELD).as_string().unwrap_or_default();
    let request = serde_json::from_str(&text).map_err(EngineError::Message)?;
    let bytes = field(BYTES_FIELD).dyn_into::<ArrayBuffer>().ok().map(|buffer| Uint8Array::new(&buffer).to_vec());
    Ok((request, bytes))
}
