use crate::{
    room,
    state::{Keeping, LibraryStoreFields as _, PageStoreFields as _, Room, expect_page},
    words::bytes,
};
use leptos::prelude::*;

/// How much room there is, and whether the browser keeps what is in it.
#[component]
pub fn RoomLine() -> impl IntoView {
    let page = expect_page();
    let state = page.library();
    let keeping = state.keeping();
    view! {
        <section class="panel" aria-labelledby="room-title">
            <h3 id="room-title">"Storage"</h3>
            <p class="room-words">{move || state.room().get().map_or_else(|| "The browser does not say how much room there is".to_owned(), words)}</p>
            <Show when=move || state.room().read().is_some()>
                <progress
                    max="1"
                    aria-labelledby="room-title"
                    value=move || state.room().get().map(|room| format!("{:.4}", room.usage / room.quota.max(1.0)))
                ></progress>
            </Show>
            <p class="hint" role="status">{move || keeping_words(keeping.get())}</p>
            <Show when=move || keeping.get() != Keeping::Promised>
                <button type="button" class="secondary" on:click=move |_| room::keep(page)>
                    {move || if keeping.get() == Keeping::Refused { "Ask again to keep it" } else { "Keep it" }}
                </button>
            </Show>
        </section>
    }
}

fn words(room: Room) -> String {
    let Room { usage, quota } = room;
    format!("{} used, {} free for this page", bytes(usage), bytes((quota - usage).max(0.0)))
}

const fn keeping_words(keeping: Keeping) -> &'static str {
    match keeping {
        Keeping::Unknown | Keeping::BestEffort => "The browser may clear models and pictures when the disk runs full",
        Keeping::Promised => "The browser keeps models and pictures until you delete them",
        Keeping::Refused => {
            "The browser did not promise it; browsers do for pages that are bookmarked, installed or used often"
        }
    }
}
