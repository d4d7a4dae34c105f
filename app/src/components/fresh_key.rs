use crate::{
    state::{AccountStoreFields as _, FreshKey, PageStoreFields as _, expect_page},
    task,
};
use js_sys::Reflect;
use leptos::{html, prelude::*};
use wasm_bindgen_futures::JsFuture;

/// A key that was just made, this once, with a button that copies it.
#[component]
pub fn FreshKeyField() -> impl IntoView {
    let state = expect_page().account();
    view! { {move || state.fresh().get().map(|fresh| view! { <FreshKeyBox fresh /> })} }
}

#[component]
fn FreshKeyBox(
    /// The key.
    fresh: FreshKey,
) -> impl IntoView {
    let page = expect_page();
    let input: NodeRef<html::Input> = NodeRef::new();
    let FreshKey { key, is_own } = fresh;
    let text = if is_own {
        "Your key is shown this once. Copy it: it is the only way back into your account from elsewhere."
    } else {
        "The new key is shown this once. Copy it to where it is used."
    };
    Effect::new(move |_| {
        if let Some(input) = input.get() {
            input.focus().ok();
            input.select();
        }
    });
    let copy = {
        let key = key.clone();
        move |_| {
            let key = key.clone();
            task::spawn(page, async move {
                let is_copied = copy(&key).await;
                let said = if is_copied {
                    "The key is copied"
                } else {
                    "The browser does not copy: select the key and copy it yourself"
                };
                page.account().said().set(Some(said.to_owned()));
                Ok(())
            });
        }
    };
    view! {
        <div class="field fresh-key">
            <label for="fresh-key">"New key"</label>
            <div class="joined">
                <input
                    node_ref=input
                    type="text"
                    id="fresh-key"
                    readonly
                    spellcheck="false"
                    aria-describedby="fresh-key-hint"
                    prop:value=key
                />
                <button type="button" class="secondary" on:click=copy>"Copy"</button>
            </div>
            <p class="hint" id="fresh-key-hint">{text}</p>
        </div>
    }
}

/// Puts text on the clipboard; whether the browser did so.
async fn copy(text: &str) -> bool {
    let navigator = window().navigator();
    // Pages that came over plain http have no clipboard at all.
    if Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_undefined()) {
        return false;
    }
    JsFuture::from(navigator.clipboard().write_text(text)).await.is_ok()
}
