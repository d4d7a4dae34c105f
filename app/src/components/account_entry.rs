use crate::{
    account,
    state::{AccountStoreFields as _, PageStoreFields as _, expect_page},
};
use leptos::prelude::*;

/// How to get an account: a click, or a key from elsewhere.
#[component]
pub fn AccountEntry() -> impl IntoView {
    let page = expect_page();
    let is_busy = page.account().is_busy();
    let typed = RwSignal::new(String::new());
    view! {
        <p>"Pictures made on the server need an account. Pictures made here never do."</p>
        <div class="account-row">
            <button
                type="button"
                class="primary"
                disabled=move || is_busy.get()
                on:click=move |_| account::sign_up(page)
            >
                "Make an account"
            </button>
            <p class="hint">"It asks for no name and no address: the account is a key, and its first pictures are free."</p>
        </div>
        <form
            class="field"
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                account::use_key(page, &typed.read_untracked());
                typed.set(String::new());
            }
        >
            <label for="account-key">"Or use a key that you have"</label>
            <div class="joined">
                <input
                    type="password"
                    id="account-key"
                    name="account-key"
                    autocomplete="off"
                    spellcheck="false"
                    placeholder="sk_live_…"
                    aria-describedby="account-key-hint"
                    prop:value=move || typed.get()
                    on:input:target=move |event| typed.set(event.target().value())
                />
                <button type="submit" class="quiet" disabled=move || is_busy.get() || typed.read().trim().is_empty()>
                    "Use this key"
                </button>
            </div>
            <p class="hint" id="account-key-hint">
                "Either way, this browser keeps the key in its local storage until you remove it. Whoever uses this browser can use it."
            </p>
        </form>
    }
}
