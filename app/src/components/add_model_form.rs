use super::{FieldError, error_id};
use crate::{
    library::expect_library,
    query,
    state::{LibraryStoreFields as _, PageStoreFields as _, expect_page},
    words::bytes,
};
use leptos::prelude::*;

const ID: &str = "add-model";

/// Adds a model by its address or its name on the Hub.
#[component]
pub fn AddModelForm() -> impl IntoView {
    let library = expect_library();
    let state = expect_page().library();
    let typed = RwSignal::new(String::new());
    let error = Signal::derive(move || state.add_error().get());
    let is_looking = Memo::new(move |_| state.looks_for().read().is_some());
    // What was added needs no second time.
    Effect::new(move |_| {
        if state.said().read().is_some() {
            typed.set(String::new());
        }
    });
    let hub = query::hub();
    let host = hub.split("://").last().unwrap_or(&hub).to_owned();
    view! {
        <form
            class="panel"
            aria-labelledby="add-model-title"
            novalidate
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                library.look_for(&typed.read_untracked());
            }
        >
            <h3 id="add-model-title">"Add a model"</h3>
            <div class="field">
                <label for=ID>"Address or name"</label>
                <div class="joined">
                    <input
                        type="text"
                        id=ID
                        name=ID
                        inputmode="url"
                        autocapitalize="none"
                        spellcheck="false"
                        placeholder="stabilityai/sd-turbo"
                        aria-invalid=move || error.read().is_some().then_some("true")
                        aria-describedby=format!("{} add-model-hint", error_id(ID))
                        prop:value=move || typed.get()
                        on:input:target=move |event| typed.set(event.target().value())
                    />
                    <button type="submit" class="secondary" disabled=is_looking>
                        {move || if is_looking.get() { "Looking…" } else { "Add" }}
                    </button>
                </div>
                <FieldError id=ID error />
                <p class="hint" id="add-model-hint">
                    {format!("The address of a GGUF file or of its manifest, or a name at {host}. Nothing of it is fetched yet.")}
                </p>
            </div>
            <Offers />
        </form>
    }
}

/// Models to choose from.
#[component]
fn Offers() -> impl IntoView {
    let library = expect_library();
    let offers = expect_page().library().offers();
    view! {
        <Show when=move || !offers.read().is_empty()>
            <div class="offers" role="group" aria-labelledby="offers-title">
                <h4 id="offers-title">"There is more than one; choose"</h4>
                <ul>
                    <For each=move || offers.get() key=|offer| offer.manifest_url.clone() let(offer)>
                        {
                            let size = offer.size_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
                            let label = format!("{}{size}", offer.file);
                            view! {
                                <li>
                                    <button type="button" class="chip" on:click=move |_| library.add(&offer)>{label}</button>
                                </li>
                            }
                        }
                    </For>
                </ul>
            </div>
        </Show>
    }
}
