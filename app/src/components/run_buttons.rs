use crate::{
    run_costs,
    session::expect_session,
    state::{
        AccountStoreFields as _, EngineStoreFields as _, Page, PageStoreFields as _, RunStoreFields as _,
        ServerStoreFields as _, Status, expect_page, status,
    },
};
use leptos::prelude::*;
use reactive_stores::Store;
use spec::ImageSize;

/// *Run here* and *Run on server*, with what each costs, and *Cancel* while there is something to cancel.
#[component]
pub fn RunButtons() -> impl IntoView {
    let page = expect_page();
    let session = expect_session();
    let engine = page.engine();
    let size = session.server.size();
    let is_running = Memo::new(move |_| status(page) == Status::Running);
    let is_on_server = Memo::new(move |_| page.run().remote().read().is_some());
    let can_cancel = Memo::new(move |_| is_running.get() || engine.run_when_ready().get());
    let has_server = page.server().is_reachable();
    let hint = move || {
        if engine.run_when_ready().get() {
            "Starts as soon as the model is loaded"
        } else {
            "Ctrl+Enter runs, Esc cancels"
        }
    };
    view! {
        <div class="run-buttons">
            <div class="run-place" class:idle=move || is_on_server.get()>
                <button
                    type="submit"
                    class="primary"
                    disabled=move || can_cancel.get()
                    aria-keyshortcuts="Control+Enter Meta+Enter"
                    aria-describedby=move || has_server.get().then_some("cost-here")
                >
                    {move || if is_running.get() && !is_on_server.get() { "Developing…" } else { "Run here" }}
                </button>
                <Show when=move || has_server.get()>
                    <p class="hint" id="cost-here">{move || cost_here(page, size)}</p>
                </Show>
            </div>
            <Show when=move || has_server.get()>
                <div class="run-place" class:idle=move || is_running.get() && !is_on_server.get()>
                    <button
                        type="button"
                        class="secondary"
                        disabled=move || is_running.get()
                        aria-describedby="cost-server"
                        on:click=move |_| session.run_on_server()
                    >
                        {move || if is_on_server.get() { "Developing…" } else { "Run on server" }}
                    </button>
                    <p class="hint" id="cost-server">{move || cost_on_server(page)}</p>
                </div>
            </Show>
            <Show when=move || can_cancel.get()>
                <button
                    type="button"
                    class="secondary cancel"
                    aria-keyshortcuts="Escape"
                    on:click=move |_| session.cancel()
                >
                    {move || if page.run().cancelling().get() { "Stop at once" } else { "Cancel" }}
                </button>
            </Show>
            <p class="hint">{hint}</p>
        </div>
    }
}

fn cost_here(page: Store<Page>, size: Signal<Option<ImageSize>>) -> String {
    let spec = size.get().and_then(|size| page.form().read().measure(size));
    let pace = page.engine().pace().get();
    run_costs::here(pace.zip(spec).map(|(pace, spec)| pace.expected(&spec)))
}

fn cost_on_server(page: Store<Page>) -> String {
    let has_key = page.account().key().read().is_some();
    let own = page.engine().model().read().as_ref().map(|model| model.name.clone());
    let quote = page.server().quote().get();
    run_costs::on_server(has_key, quote.as_ref(), own.as_deref())
}
