//! Keys, drops and pastes that work anywhere on the page.

use crate::{
    session::Session,
    start_picture,
    state::{EngineStoreFields as _, Page, PageStoreFields as _, Status, status_untracked},
};
use leptos::{ev, prelude::*};
use reactive_stores::Store;
use web_sys::KeyboardEvent;

/// Listens until the page's owner is gone; the returned signal is true while a file is dragged over the page.
pub fn listen(page: Store<Page>, session: Session) -> Signal<bool> {
    let is_dragging = RwSignal::new(false);
    let key = window_event_listener(ev::keydown, move |event| press(page, session, &event));
    let paste = window_event_listener(ev::paste, move |event| {
        if let Some(file) = event.clipboard_data().as_ref().and_then(start_picture::picture_in) {
            event.prevent_default();
            start_picture::take_file(page, file);
        }
    });
    let over = window_event_listener(ev::dragover, move |event| {
        let has_files = event.data_transfer().is_some_and(|transfer| transfer.types().includes(&"Files".into(), 0));
        if has_files {
            event.prevent_default();
            is_dragging.set(true);
        }
    });
    let leave = window_event_listener(ev::dragleave, move |event| {
        // Only when the pointer leaves the page, not from one element to the next.
        if event.related_target().is_none() {
            is_dragging.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |event| {
        is_dragging.set(false);
        let Some(transfer) = event.data_transfer() else { return };
        if let Some(file) = start_picture::picture_in(&transfer) {
            event.prevent_default();
            start_picture::take_file(page, file);
        } else if transfer.files().is_some_and(|files| files.length() > 0) {
            event.prevent_default();
        }
    });
    let online = window_event_listener(ev::online, move |_| session.network_is_back());
    on_cleanup(move || {
        for handle in [key, paste, over, leave, drop, online] {
            handle.remove();
        }
    });
    is_dragging.into()
}

fn press(page: Store<Page>, session: Session, event: &KeyboardEvent) {
    if event.is_composing() || has_open_dialog() {
        return;
    }
    match event.key().as_str() {
        "Enter" if event.ctrl_key() || event.meta_key() => {
            event.prevent_default();
            session.run();
        }
        "Escape" if status_untracked(page) == Status::Running || page.engine().run_when_ready().get_untracked() => {
            event.prevent_default();
            session.cancel();
        }
        _ => {}
    }
}

/// A dialog takes its own keys.
fn has_open_dialog() -> bool {
    document().query_selector("dialog[open]").ok().flatten().is_some()
}
