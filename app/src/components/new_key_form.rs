use crate::{
    account,
    state::{AccountStoreFields as _, PageStoreFields as _, expect_page},
};
use client::{KeyKind, NewKey};
use leptos::prelude::*;

/// Asks for another key: for a program, or for a web page that anyone can read.
#[component]
pub fn NewKeyForm() -> impl IntoView {
    let page = expect_page();
    let is_busy = page.account().is_busy();
    let name = RwSignal::new(String::new());
    let origin = RwSignal::new(String::new());
    let is_publishable = RwSignal::new(false);
    let submit = move || {
        let (kind, origins) = if is_publishable.get_untracked() {
            (KeyKind::Publishable, vec![origin.get_untracked().trim().to_owned()])
        } else {
            (KeyKind::Secret, Vec::new())
        };
        let key = NewKey { kind, name: name.get_untracked().trim().to_owned(), scopes: Vec::new(), origins };
        account::create_key(page, key);
        name.set(String::new());
    };
    view! {
        <details class="account-part">
            <summary>"Make another key"</summary>
            <form
                class="new-key"
                autocomplete="off"
                on:submit=move |event| {
                    event.prevent_default();
                    submit();
                }
            >
                <div class="field">
                    <label for="key-name">"Name"</label>
                    <input
                        type="text"
                        id="key-name"
                        maxlength=NewKey::MAX_NAME.to_string()
                        placeholder="my laptop"
                        prop:value=move || name.get()
                        on:input:target=move |event| name.set(event.target().value())
                    />
                </div>
                <div class="field">
                    <label for="key-kind">"For"</label>
                    <select
                        id="key-kind"
                        on:change:target=move |event| is_publishable.set(event.target().value() == "publishable")
                    >
                        <option value="secret">"A program: everything, keep it secret"</option>
                        <option value="publishable">"A web page: pictures alone, anyone may see it"</option>
                    </select>
                </div>
                <Show when=move || is_publishable.get()>
                    <div class="field">
                        <label for="key-origin">"Address of the page's site"</label>
                        <input
                            type="text"
                            id="key-origin"
                            inputmode="url"
                            required
                            placeholder="https://example.com"
                            prop:value=move || origin.get()
                            on:input:target=move |event| origin.set(event.target().value())
                        />
                    </div>
                </Show>
                <button type="submit" class="secondary" disabled=move || is_busy.get()>"Make the key"</button>
            </form>
        </details>
    }
}
