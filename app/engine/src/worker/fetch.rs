//! Requests to servers: with patience, with a way to stop them, and with words for what can go wrong.

use super::{
    Result,
    error::{EngineError, reason},
    wire::scope,
};
use gloo_net::http::{Request, Response};
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use std::{cell::Cell, time::Duration};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, AbortSignal, RequestCache, Url};
use web_time::Instant;

/// How often it is told how much of a range has arrived.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// A stretch of a file: its first byte and its length.
pub type Range = (u64, u64);

/// Stops what goes on for one model.
pub struct Stop {
    is_asked: Cell<bool>,
    controller: Option<AbortController>,
}

impl Stop {
    /// Nothing is to be stopped yet.
    pub fn new() -> Self {
        // A browser without the class stops after the range that is on its way.
        Self { is_asked: Cell::new(false), controller: AbortController::new().ok() }
    }

    /// Stops it now.
    pub fn ask(&self) {
        self.is_asked.set(true);
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }

    /// Whether it is to be stopped.
    pub const fn is_asked(&self) -> bool {
        self.is_asked.get()
    }
}

/// Asks for all of a small file, or for a range of a large one.
///
/// # Errors
/// [`EngineError`] naming the address.
pub async fn fetch(url: &str, range: Option<Range>, stop: Option<&Stop>) -> Result<Response> {
    check_scheme(url)?;
    // A server that goes silent is given up after half a minute and the time that the part takes on a slow line.
    let patience = 30_000 + range.map_or(0, |(_, length)| length / 50) as u32;
    let timeout = AbortSignal::timeout_with_u32(patience);
    let signal = match stop.and_then(|stop| stop.controller.as_ref()) {
        Some(controller) => AbortSignal::any(&Array::of2(&timeout, &controller.signal())),
        None => timeout,
    };
    let request = Request::get(url).abort_signal(Some(&signal));
    let request = match range {
        // Parts are kept by us; the browser's cache would hold everything twice.
        Some((offset, length)) => {
            request.header("Range", &format!("bytes={offset}-{}", offset + length - 1)).cache(RequestCache::NoStore)
        }
        None => request.cache(RequestCache::NoCache),
    };
    let response = request.send().await.map_err(network(url))?;
    if response.ok() {
        Ok(response)
    } else {
        Err(EngineError::Status { url: url.to_owned(), status: response.status() })
    }
}

/// All bytes of an answer that should have `length`, telling now and then how many have arrived.
///
/// # Errors
/// [`EngineError::Network`] when the connection breaks.
pub async fn body_in_parts(
    url: &str,
    response: &Response,
    length: u64,
    mut arrived: impl FnMut(usize),
) -> Result<Vec<u8>> {
    let broken = |error: JsValue| EngineError::Network { url: url.to_owned(), reason: reason(&error) };
    let Some(stream) = response.body() else { return body(url, response).await };
    let reader: JsValue = stream.get_reader().into();
    let read: Function = Reflect::get(&reader, &"read".into()).and_then(JsCast::dyn_into).map_err(broken)?;
    let mut bytes = Vec::with_capacity(length as usize);
    let mut told = Instant::now();
    loop {
        let promise: Promise = read.call0(&reader).and_then(JsCast::dyn_into).map_err(broken)?;
        let chunk = JsFuture::from(promise).await.map_err(broken)?;
        let Ok(chunk) = Reflect::get(&chunk, &"value".into()).and_then(JsCast::dyn_into::<Uint8Array>) else {
            return Ok(bytes);
        };
        let start = bytes.len();
        bytes.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut bytes[start..]);
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            arrived(bytes.len());
        }
    }
}

/// All bytes of an answer.
///
/// # Errors
/// [`EngineError::Network`] when the connection breaks.
pub async fn body(url: &str, response: &Response) -> Result<Vec<u8>> {
    response.binary().await.map_err(network(url))
}

/// The length of the whole file, as the answer to a range states it, where the server lets pages read that.
pub fn whole_length(response: &Response) -> Option<u64> {
    response.headers().get("content-range")?.rsplit_once('/')?.1.parse().ok()
}

/// An address that may be relative to the page's.
pub fn absolute(url: &str) -> Option<Url> {
    Url::new_with_base(url, &scope().location().origin()).ok()
}

/// Waits without holding the worker up.
pub async fn sleep(milliseconds: i32) {
    let promise = Promise::new(&mut |resolve, _| {
        drop(scope().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds));
    });
    drop(JsFuture::from(promise).await);
}

/// Lets the worker hear messages between two steps.
pub async fn breathe() {
    sleep(0).await;
}

/// Browsers refuse this without saying why.
fn check_scheme(url: &str) -> Result<()> {
    let is_open = absolute(url).is_some_and(|url| {
        let is_local = matches!(url.hostname().as_str(), "localhost" | "127.0.0.1" | "[::1]");
        url.protocol() == "http:" && !is_local
    });
    if is_open && scope().location().protocol() == "https:" {
        return Err(EngineError::Insecure { url: url.to_owned() });
    }
    Ok(())
}

fn network(url: &str) -> impl FnOnce(gloo_net::Error) -> EngineError {
    let url = url.to_owned();
    move |error| {
        let is_elsewhere = absolute(&url).is_some_and(|url| url.origin() != scope().location().origin());
        let reason = error.to_string();
        // All that a browser says of a server that does not let other pages read from it.
        if is_elsewhere && !reason.contains("Timeout") && !reason.contains("Abort") {
            EngineError::Unreachable { url }
        } else {
            EngineError::Network { url, reason }
        }
    }
}
