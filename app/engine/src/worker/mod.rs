//! The worker's message loop.

mod arriving;
mod device;
mod download;
mod error;
mod fetch;
mod find;
#[cfg(feature = "golden")]
mod golden;
mod inspect;
#[cfg(feature = "golden")]
mod kernel_bench;
mod models;
mod probe;
mod record;
mod relaxed;
mod session;
mod source;
mod storage;
mod task;
mod wire;

use error::EngineError;
use protocol::{Event, Request};
use session::{Expected, Session};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::MessageEvent;

/// Installs the hooks and tells the page that messages are heard from now on.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        // The last words: a panic on this target ends the worker.
        console_error_panic_hook::hook(info);
        wire::post(&error::panic_event(&info.to_string()), None);
    }));
    relaxed::install();
    let session = Rc::new(RefCell::new(Session::default()));
    let listener = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        #[cfg(feature = "golden")]
        if golden::hears(&event, &session) {
            return;
        }
        match wire::read(&event) {
            Ok((request, bytes)) => handle(&session, request, bytes),
            Err(error) => wire::post(&error.event(None), None),
        }
    });
    wire::scope().set_onmessage(Some(listener.as_ref().unchecked_ref()));
    // The listener lives as long as the worker.
    listener.forget();
    wire::post_ready();
}

/// Cancelling works while another request runs; everything else is a task of its own.
fn handle(session: &Rc<RefCell<Session>>, request: Request, bytes: Option<Vec<u8>>) {
    let Some(request) = models::handle(request) else { return };
    match request {
        Request::Cancel { run } => session.borrow().cancel(run),
        Request::Load { manifest_url, device } => {
            let session = session.clone();
            task::spawn(None, async move { session::load(&session, &manifest_url, device).await });
        }
        Request::Expect { prompt, negative_prompt, clip_skip } => {
            let session = session.clone();
            task::spawn(None, async move {
                session::expect(&session, Expected { prompt, negative_prompt, clip_skip }).await
            });
        }
        Request::Generate { run, spec, init_image } => {
            let session = session.clone();
            task::spawn(Some(run), async move {
                let init = init_image.zip(bytes);
                session::generate(&session, run, spec, init).await
            });
        }
        // Whatever is about models was taken above.
        _ => {}
    }
}

/// Sends an event without bytes.
fn say(event: &Event) {
    wire::post(event, None);
}

type Result<T> = std::result::Result<T, EngineError>;
