use crate::{
    library::expect_library,
    query,
    state::{LibraryModel, Phase},
};
use leptos::prelude::*;

/// What can be done with a model.
#[component]
pub fn ModelButtons(
    /// The model.
    model: Memo<LibraryModel>,
    /// It is the one that draws.
    is_chosen: Memo<bool>,
    /// The picture view is fetching or loading it.
    is_loading: Memo<bool>,
    /// Asks before it is deleted.
    ask: Callback<(String, String)>,
) -> impl IntoView {
    let library = expect_library();
    let phase = Memo::new(move |_| model.read().phase);
    let is_whole = Memo::new(move |_| model.read().is_whole());
    let has_bytes = Memo::new(move |_| model.read().bytes > 0.0);
    let is_busy = Memo::new(move |_| phase.get() != Phase::Resting || is_loading.get());
    let url = move || model.read_untracked().url.clone();
    let named = move |word: &'static str| move || format!("{word} {}", model.read().name());
    let can_remove = move || !has_bytes.get() && !is_busy.get() && library.is_added(&model.read().url);
    // Until it is stored, only the page's own model can be had by using it: it is small.
    let can_use = move || !is_chosen.get() && (is_whole.get() || model.read().url == query::MANIFEST_URL);
    view! {
        <div class="model-buttons">
            <Show when=move || can_use()>
                <button
                    type="button"
                    class="primary"
                    disabled=is_busy
                    aria-label=named("Use")
                    on:click=move |_| library.draw_with(&url())
                >
                    "Use it"
                </button>
            </Show>
            <Show when=move || !is_whole.get()>
                <FetchButton model is_loading />
            </Show>
            <Show when=move || has_bytes.get()>
                <button type="button" class="quiet" disabled=is_busy aria-label=named("Verify") on:click=move |_| library.verify(&url())>
                    "Verify"
                </button>
                <button
                    type="button"
                    class="quiet"
                    disabled=is_busy
                    aria-label=named("Delete")
                    on:click=move |_| ask.run((url(), model.read_untracked().name()))
                >
                    "Delete…"
                </button>
            </Show>
            <Show when=can_remove>
                <button type="button" class="quiet" aria-label=named("Remove") on:click=move |_| library.remove(&url())>
                    "Remove from the list"
                </button>
            </Show>
        </div>
    }
}

/// Fetches, pauses and resumes: one button, so that the keyboard stays where it is.
#[component]
fn FetchButton(
    /// The model.
    model: Memo<LibraryModel>,
    /// The picture view is fetching or loading it.
    is_loading: Memo<bool>,
) -> impl IntoView {
    let library = expect_library();
    let word = Memo::new(move |_| {
        let model = model.read();
        match model.phase {
            Phase::Waiting | Phase::Fetching => "Pause",
            Phase::Pausing => "Pausing…",
            _ if model.bytes > 0.0 => "Resume",
            _ => "Download",
        }
    });
    let is_still =
        move || is_loading.get() || matches!(model.read().phase, Phase::Pausing | Phase::Checking(_) | Phase::Deleting);
    view! {
        <button
            type="button"
            class="secondary"
            disabled=is_still
            aria-label=move || format!("{} {}", word.get(), model.read().name())
            on:click=move |_| {
                let LibraryModel { url, phase, .. } = model.get_untracked();
                if matches!(phase, Phase::Waiting | Phase::Fetching) {
                    library.pause(&url);
                } else {
                    library.fetch(&url);
                }
            }
        >
            {word}
        </button>
    }
}
