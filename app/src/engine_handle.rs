//! The engine's worker as the page holds it: started, fed, watched, and replaced when it fails.
//!
//! A worker posts `{ready: true}` once, as its very first message; requests wait here until then. Everything after that is
//! `{message, bytes?}` as [`protocol`] says.

use crate::error::reason;
use js_sys::{Array, ArrayBuffer, Function, Object, Reflect};
use leptos::{leptos_dom::helpers::IntervalHandle, prelude::*};
use protocol::{BYTES_FIELD, Event, MESSAGE_FIELD, Request};
use std::{rc::Rc, time::Duration};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// The script that starts the engine's wasm.
const WORKER_URL: &str = "/engine_loader.js";
/// Trunk makes the loader a module, as `index.html` asks it to.
const WORKER_TYPE: WorkerType = WorkerType::Module;
/// Field of a worker's first message.
const READY_FIELD: &str = "ready";
/// How long a worker that failed may still say why: a browser delivers its exception and its last message in any order.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How often the watchdog counts a silent moment.
const TICK_SECONDS: u32 = 5;

/// What arrives from a worker.
#[derive(Debug)]
pub enum Incoming {
    /// The worker runs and takes requests.
    Started,
    /// The engine says something; pixels or a file may travel along.
    Event(Box<Event>, Option<ArrayBuffer>),
    /// The worker is of no more use.
    Fault(Fault),
}

/// Why a worker is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It could not be started, or its code failed.
    Crashed(String),
    /// It posted something that is not a message.
    Unreadable,
    /// It said nothing for so many seconds while it should have worked.
    Silent(u32),
}

/// How long the engine may stay silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// For ever: nothing was asked of it.
    Off,
    /// A model is loaded: compiling its shaders may take minutes.
    Load,
    /// A run goes on: every step speaks.
    Run,
}

impl Watch {
    const fn limit_seconds(self) -> Option<u32> {
        match self {
            Self::Off => None,
            Self::Load => Some(600),
            Self::Run => Some(120),
        }
    }
}

/// The page's end of the engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineHandle(StoredValue<Inner, LocalStorage>);

struct Inner {
    worker: Option<Worker>,
    // Counts workers, so that what was meant for one does not reach the next.
    generation: u32,
    is_ready: bool,
    queue: Vec<(Object, Array)>,
    watch: Watch,
    // Silence is counted in ticks and not read off a clock: a laptop that slept for an hour was not silent for an hour.
    silent_ticks: u32,
    listener: Option<Rc<dyn Fn(Incoming)>>,
    on_message: Option<Function>,
    on_error: Option<Function>,
    on_message_error: Option<Function>,
    ticker: Option<IntervalHandle>,
}

impl EngineHandle {
    /// An engine without a worker; everything it says goes to `listener`.
    pub fn new(listener: impl Fn(Incoming) + 'static) -> Self {
        let inner = StoredValue::new_local(Inner {
            worker: None,
            generation: 0,
            is_ready: false,
            queue: Vec::new(),
            watch: Watch::Off,
            silent_ticks: 0,
            listener: Some(Rc::new(listener)),
            on_message: None,
            on_error: None,
            on_message_error: None,
            ticker: None,
        });
        let this = Self(inner);
        let on_message = closure(move |event: MessageEvent| this.receive(&event));
        let on_error = closure(move |event: ErrorEvent| {
            event.prevent_default();
            // A script that could not be fetched gives a plain event, whose `message` is undefined.
            let message = Reflect::get(&event, &"message".into()).ok().and_then(|text| text.as_string());
            let message = message.unwrap_or_else(|| "its script could not be loaded".to_owned());
            this.fail_after_last_words(Fault::Crashed(message));
        });
        let on_message_error = closure(move |_: MessageEvent| this.fail(Fault::Unreadable));
        let ticker = set_interval_with_handle(move || this.tick(), Duration::from_secs(u64::from(TICK_SECONDS))).ok();
        inner.update_value(|inner| {
            inner.on_message = Some(on_message);
            inner.on_error = Some(on_error);
            inner.on_message_error = Some(on_message_error);
            inner.ticker = ticker;
        });
        on_cleanup(move || this.stop());
        this
    }

    /// Ends the worker, whatever it does, and starts a new one; requests that were not sent yet are dropped.
    pub fn replace(self) {
        self.terminate();
        let options = WorkerOptions::new();
        options.set_type(WORKER_TYPE);
        options.set_name("engine");
        match Worker::new_with_options(WORKER_URL, &options) {
            Ok(worker) => self.0.update_value(|inner| {
                worker.set_onmessage(inner.on_message.as_ref());
                worker.set_onerror(inner.on_error.as_ref());
                worker.set_onmessageerror(inner.on_message_error.as_ref());
                inner.worker = Some(worker);
            }),
            Err(error) => self.fail(Fault::Crashed(reason(&error))),
        }
    }

    /// Sends a request, once the worker takes one; `bytes` are transferred.
    pub fn post(self, request: &Request, bytes: Option<&ArrayBuffer>) {
        let text =
            serde_json::to_string(request).expect("a request has no map keys or custom serialisers that can fail");
        let message = Object::new();
        let transfer = Array::new();
        set(&message, MESSAGE_FIELD, &text.into());
        if let Some(bytes) = bytes {
            set(&message, BYTES_FIELD, bytes);
            transfer.push(bytes);
        }
        self.0.update_value(|inner| inner.queue.push((message, transfer)));
        self.flush();
    }

    /// Sets how long the engine may stay silent from now on.
    pub fn watch(self, watch: Watch) {
        self.0.update_value(|inner| {
            inner.watch = watch;
            inner.silent_ticks = 0;
        });
    }

    fn flush(self) {
        let waiting = self.0.try_update_value(|inner| {
            let worker = inner.worker.clone().filter(|_| inner.is_ready)?;
            Some((worker, std::mem::take(&mut inner.queue)))
        });
        let Some((worker, queue)) = waiting.flatten() else { return };
        for (message, transfer) in queue {
            if let Err(error) = worker.post_message_with_transfer(&message, &transfer) {
                self.fail(Fault::Crashed(reason(&error)));
                return;
            }
        }
    }

    fn receive(self, event: &MessageEvent) {
        self.0.update_value(|inner| inner.silent_ticks = 0);
        let data = event.data();
        let field = |name: &str| Reflect::get(&data, &name.into()).unwrap_or(JsValue::UNDEFINED);
        if field(READY_FIELD).is_truthy() {
            self.0.update_value(|inner| inner.is_ready = true);
            self.tell(Incoming::Started);
            self.flush();
            return;
        }
        let event = field(MESSAGE_FIELD).as_string().and_then(|text| serde_json::from_str::<Event>(&text).ok());
        match event {
            Some(event) => self.tell(Incoming::Event(Box::new(event), field(BYTES_FIELD).dyn_into().ok())),
            None => self.fail(Fault::Unreadable),
        }
    }

    fn tick(self) {
        let silent = self.0.try_update_value(|inner| {
            let limit = inner.watch.limit_seconds()?;
            inner.silent_ticks += 1;
            (inner.silent_ticks * TICK_SECONDS >= limit).then_some(limit)
        });
        if let Some(limit) = silent.flatten() {
            self.fail(Fault::Silent(limit));
        }
    }

    /// An exception says little; the engine's own message about it, if it still comes, replaces the worker before.
    fn fail_after_last_words(self, fault: Fault) {
        let generation = move || self.0.try_with_value(|inner| inner.generation);
        let failed = generation();
        set_timeout(
            move || {
                if generation() == failed {
                    self.fail(fault);
                }
            },
            LAST_WORDS,
        );
    }

    fn fail(self, fault: Fault) {
        self.terminate();
        // Not from within the worker's own event or the caller's borrow: the listener replaces the worker.
        queue_microtask(move || self.tell(Incoming::Fault(fault)));
    }

    fn tell(self, incoming: Incoming) {
        // The listener calls back into this handle, so the borrow must have ended before.
        if let Some(listener) = self.0.try_with_value(|inner| inner.listener.clone()).flatten() {
            listener(incoming);
        }
    }

    fn terminate(self) {
        self.0.try_update_value(|inner| {
            inner.generation += 1;
            inner.is_ready = false;
            inner.watch = Watch::Off;
            inner.queue.clear();
            if let Some(worker) = inner.worker.take() {
                worker.set_onmessage(None);
                worker.set_onerror(None);
                worker.set_onmessageerror(None);
                worker.terminate();
            }
        });
    }

    fn stop(self) {
        self.terminate();
        self.0.try_update_value(|inner| {
            inner.listener = None;
            if let Some(ticker) = inner.ticker.take() {
                ticker.clear();
            }
        });
    }
}

fn closure<E: wasm_bindgen::convert::FromWasmAbi + 'static>(handler: impl Fn(E) + 'static) -> Function {
    // One set for the life of the page, shared by every worker that follows another.
    Closure::<dyn Fn(E)>::new(handler).into_js_value().unchecked_into()
}

fn set(object: &Object, field: &str, value: &JsValue) {
    Reflect::set(object, &field.into(), value).expect("a plain object takes any field");
}
