use crate::{
    session::expect_session,
    state::{EngineStoreFields as _, PageStoreFields as _, RunStoreFields as _, Status, expect_page},
};
use leptos::prelude::*;

/// *Run here*, and *Cancel* while there is something to cancel.
#[component]
pub fn RunButtons() -> impl IntoView {
    let page = expect_page();
    let session = expect_session();
    let engine = page.engine();
    let is_running = Memo::new(move |_| engine.status().get() == Status::Running);
    let can_cancel = Memo::new(move |_| is_running.get() || engine.run_when_ready().get());
    let hint = move || {
        if engine.run_when_ready().get() {
            "Starts as soon as the model is loaded"
        } else {
            "Ctrl+Enter runs, Esc cancels"
        }
    };
    view! {
        <div class="run-buttons">
            <button type="submit" class="primary" disabled=move || can_cancel.get() aria-keyshortcuts="Control+Enter Meta+Enter">
                {move || if is_running.get() { "Developing…" } else { "Run here" }}
            </button>
            <Show when=move || can_cancel.get()>
                <button type="button" class="secondary" aria-keyshortcuts="Escape" on:click=move |_| session.cancel()>
                    {move || if page.run().cancelling().get() { "Stop at once" } else { "Cancel" }}
                </button>
            </Show>
            <p class="hint">{hint}</p>
        </div>
    }
}
