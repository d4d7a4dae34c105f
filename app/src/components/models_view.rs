use super::{AddModelForm, ConfirmDialog, DeviceMeasure, ModelItem, RoomLine};
use crate::{
    library::expect_library,
    state::{LibraryStoreFields as _, PageStoreFields as _, expect_page},
};
use leptos::prelude::*;

/// Every model that is known, what this device can do with it, and how to get it and be rid of it.
#[component]
pub fn ModelsView() -> impl IntoView {
    let library = expect_library();
    library.wake();
    let state = expect_page().library();
    let urls = Memo::new(move |_| state.models().read().iter().map(|model| model.url.clone()).collect::<Vec<_>>());
    // The address and the name of the model that is to be deleted.
    let doomed = RwSignal::new((String::new(), String::new()));
    let asks = RwSignal::new(false);
    let ask = Callback::new(move |model: (String, String)| {
        doomed.set(model);
        asks.set(true);
    });
    view! {
        <main class="models" id="models-view" tabindex="-1">
            <h2 class="models-title">"Models"</h2>
            <div class="models-tools">
                <AddModelForm />
                <DeviceMeasure />
                <RoomLine />
            </div>
            <p class="models-said" role="status">{move || state.said().get()}</p>
            <ul class="model-list">
                <For each=move || urls.get() key=Clone::clone children=move |url| view! { <ModelItem url ask /> } />
            </ul>
            <ConfirmDialog
                id="confirm-delete-model"
                title=Signal::derive(move || format!("Delete {}?", doomed.read().1))
                text="Its file is deleted from this browser and must be fetched again to be used again"
                confirm="Delete"
                keep="Keep it"
                is_open=asks
                on_confirm=move || library.delete(&doomed.read_untracked().0)
            />
        </main>
    }
}
