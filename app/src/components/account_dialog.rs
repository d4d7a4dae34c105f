use super::{AccountEntry, AccountKeys, AccountUsage, ConfirmDialog, FreshKeyField, NewKeyForm};
use crate::{
    account,
    state::{AccountStoreFields as _, PageStoreFields as _, expect_page},
};
use client::Key;
use leptos::{html, prelude::*};

/// What cannot be undone, and is asked before it is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// The key leaves this browser.
    Forget,
    /// A key is replaced.
    Rotate(Key),
    /// A key is deleted.
    Delete(Key),
    /// The account is deleted.
    DeleteAccount,
}

/// The visitor's account on the server: how to get one, what it used, its keys.
#[component]
pub fn AccountDialog() -> impl IntoView {
    let page = expect_page();
    let state = page.account();
    let dialog: NodeRef<html::Dialog> = NodeRef::new();
    let asked: RwSignal<Option<Asked>> = RwSignal::new(None);
    let asks = RwSignal::new(false);
    let ask = Callback::new(move |what: Asked| {
        asked.set(Some(what));
        asks.set(true);
    });
    let has_key = Memo::new(move |_| state.key().read().is_some());
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if state.is_open().get() {
            dialog.show_modal().ok();
        } else {
            dialog.close();
        }
    });
    view! {
        <dialog node_ref=dialog class="account" aria-labelledby=account::TITLE_ID on:close=move |_| account::close(page)>
            <div class="account-head">
                <h2 id=account::TITLE_ID tabindex="-1">"Account on this server"</h2>
                <button type="button" class="quiet" on:click=move |_| account::close(page)>"Close"</button>
            </div>
            <p role="status" class="account-said">{move || state.said().get()}</p>
            <p role="alert" class="field-error">{move || state.error().get()}</p>
            <Show when=move || has_key.get() fallback=|| view! { <AccountEntry /> }>
                <FreshKeyField />
                <KeyNotice ask />
                <AccountUsage />
                <AccountKeys ask />
                <NewKeyForm />
                <button type="button" class="quiet" on:click=move |_| ask.run(Asked::DeleteAccount)>"Delete the account…"</button>
            </Show>
        </dialog>
        <ConfirmDialog
            id="confirm-account"
            title=Signal::derive(move || title(asked.get().as_ref()))
            text=Signal::derive(move || consequence(asked.get().as_ref()))
            confirm=Signal::derive(move || verb(asked.get().as_ref()))
            keep="Cancel"
            is_open=asks
            on_confirm=move || match asked.get_untracked() {
                Some(Asked::Forget) => account::forget_key(page),
                Some(Asked::Rotate(key)) => account::rotate_key(page, key),
                Some(Asked::Delete(key)) => account::delete_key(page, key),
                Some(Asked::DeleteAccount) => account::delete_account(page),
                None => {}
            }
        />
    }
}

/// Says that this browser keeps the key, and takes it out.
#[component]
fn KeyNotice(
    /// Asks before it does so.
    ask: Callback<Asked>,
) -> impl IntoView {
    let state = expect_page().account();
    view! {
        <div class="account-row">
            <p class="hint">
                {move || {
                    let shown: String = state.key().read().iter().flat_map(|key| key.chars()).take(12).collect();
                    if state.is_stored().get() {
                        format!("This browser keeps your key {shown}… in its local storage. Whoever uses this browser can use it.")
                    } else {
                        format!("This browser does not store anything, so your key {shown}… is gone when you leave the page.")
                    }
                }}
            </p>
            <button type="button" class="quiet" on:click=move |_| ask.run(Asked::Forget)>"Remove from this browser…"</button>
        </div>
    }
}

fn name(key: &Key) -> String {
    if key.name.is_empty() { format!("{}…", key.shown) } else { format!("“{}”", key.name) }
}

fn title(asked: Option<&Asked>) -> String {
    match asked {
        Some(Asked::Forget) => "Remove the key from this browser?".to_owned(),
        Some(Asked::Rotate(key)) => format!("Replace the key {}?", name(key)),
        Some(Asked::Delete(key)) => format!("Delete the key {}?", name(key)),
        Some(Asked::DeleteAccount) => "Delete the account?".to_owned(),
        None => String::new(),
    }
}

fn consequence(asked: Option<&Asked>) -> String {
    match asked {
        Some(Asked::Forget) => "The account stays, but only who has a key of it gets in again. Copy one first",
        Some(Asked::Rotate(_)) => "The old key stops working at once, wherever it is used",
        Some(Asked::Delete(_)) => "It stops working at once, wherever it is used",
        Some(Asked::DeleteAccount) => {
            "Its credits, keys, jobs and pictures on the server are deleted and cannot be had back. Pictures in this browser stay"
        }
        None => "",
    }
    .to_owned()
}

fn verb(asked: Option<&Asked>) -> String {
    match asked {
        Some(Asked::Forget) => "Remove",
        Some(Asked::Rotate(_)) => "Replace",
        Some(Asked::Delete(_)) => "Delete the key",
        Some(Asked::DeleteAccount) => "Delete the account",
        None => "",
    }
    .to_owned()
}
