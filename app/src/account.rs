//! What can be done with the account on the server; the view calls these.

use crate::{
    error::PageError,
    key_storage,
    state::{AccountStoreFields as _, FreshKey, Page, PageStoreFields as _},
    task,
    words::sentence,
};
use client::{Browser, Client, ClientError, Code, Key, NewKey};
use leptos::prelude::*;
use reactive_stores::Store;
use wasm_bindgen::JsCast as _;
use web_sys::HtmlElement;

/// Id of the dialog's heading, where the focus goes when what had it is gone.
pub const TITLE_ID: &str = "account-title";

/// The edge that the page came from, under the visitor's key if there is one.
pub fn edge(page: Store<Page>) -> Client<Browser> {
    let edge = Client::new(Browser, "");
    match page.account().key().get_untracked() {
        Some(key) => edge.with_key(key),
        None => edge,
    }
}

/// Takes up the key that this browser keeps.
pub fn restore(page: Store<Page>) {
    let key = key_storage::read();
    page.account().is_stored().set(key.is_some());
    page.account().key().set(key);
}

/// Opens the dialog, with figures as of now.
pub fn open(page: Store<Page>) {
    page.account().said().set(None);
    page.account().error().set(None);
    page.account().is_open().set(true);
    refresh(page);
}

/// Closes the dialog; a key that was shown once is not shown again.
pub fn close(page: Store<Page>) {
    page.account().is_open().set(false);
    page.account().fresh().set(None);
}

/// Asks what the account used and which keys it has.
pub fn refresh(page: Store<Page>) {
    if page.account().key().read_untracked().is_some() {
        task::spawn(page, async move {
            if let Err(error) = load(page).await {
                page.account().error().set(Some(sentence(&error.to_string())));
            }
            Ok(())
        });
    }
}

/// Asks what the account used; where it is not told, nothing is shown.
pub fn refresh_usage(page: Store<Page>) {
    if page.account().key().read_untracked().is_some() {
        task::spawn(page, async move {
            page.account().usage().set(edge(page).usage().await.ok());
            Ok(())
        });
    }
}

/// Makes an account, whose key this browser keeps.
pub fn sign_up(page: Store<Page>) {
    act(page, async move {
        let created = edge(page).sign_up().await?;
        adopt(page, &created.key);
        page.account().fresh().set(Some(FreshKey { key: created.key, is_own: true }));
        load(page).await?;
        Ok(format!("Your account is made; it has {} credits", created.credits))
    });
}

/// Uses a key that the visitor has.
pub fn use_key(page: Store<Page>, key: &str) {
    let key = key.trim().to_owned();
    act(page, async move {
        let edge = Client::new(Browser, "").with_key(key.clone());
        match edge.usage().await {
            // A key that makes pictures and sees nothing else is good for the page too.
            Err(error) if error.code() != Some(Code::Forbidden) => return Err(error.into()),
            Ok(_) | Err(_) => adopt(page, &key),
        }
        load(page).await?;
        Ok("The key is used from now on".to_owned())
    });
}

/// Takes the key out of this browser; the account stays as it is.
pub fn forget_key(page: Store<Page>) {
    drop_key(page);
    page.account().error().set(None);
    page.account().said().set(Some("The key is removed from this browser".to_owned()));
    keep_focus();
}

/// Makes another key.
pub fn create_key(page: Store<Page>, key: NewKey) {
    act(page, async move {
        let created = edge(page).create_key(&key).await?;
        page.account().fresh().set(Some(FreshKey { key: created.key, is_own: false }));
        load(page).await?;
        Ok("The key is made".to_owned())
    });
}

/// Replaces a key by a new one; the old one stops working at once.
pub fn rotate_key(page: Store<Page>, key: Key) {
    act(page, async move {
        let is_own = is_own(page, &key);
        let rotated = edge(page).rotate_key(&key.id).await?;
        if is_own {
            adopt(page, &rotated.key);
        }
        page.account().fresh().set(Some(FreshKey { key: rotated.key, is_own }));
        load(page).await?;
        Ok("The key is replaced; the old one works no more".to_owned())
    });
}

/// Deletes a key, which stops working at once.
pub fn delete_key(page: Store<Page>, key: Key) {
    act(page, async move {
        let is_own = is_own(page, &key);
        edge(page).delete_key(&key.id).await?;
        if is_own {
            drop_key(page);
        } else {
            load(page).await?;
        }
        Ok("The key is deleted".to_owned())
    });
}

/// Deletes the account and everything that the server has of it.
pub fn delete_account(page: Store<Page>) {
    act(page, async move {
        edge(page).delete_account().await?;
        drop_key(page);
        Ok("The account is deleted, with its pictures on the server; those in this browser stay".to_owned())
    });
}

/// Whether this is the key that the browser uses.
pub fn is_own(page: Store<Page>, key: &Key) -> bool {
    page.account().key().read_untracked().as_ref().is_some_and(|own| own.starts_with(&key.shown))
}

fn adopt(page: Store<Page>, key: &str) {
    let is_stored = key_storage::write(key);
    page.account().is_stored().set(is_stored);
    page.account().key().set(Some(key.to_owned()));
}

fn drop_key(page: Store<Page>) {
    key_storage::remove();
    let account = page.account();
    let mut account = account.write();
    account.key = None;
    account.is_stored = false;
    account.fresh = None;
    account.usage = None;
    account.keys = Vec::new();
}

/// What the key may not see is left out.
async fn load(page: Store<Page>) -> Result<(), PageError> {
    let edge = edge(page);
    let usage = seen(edge.usage().await)?;
    let keys = seen(edge.keys().await)?.unwrap_or_default();
    page.account().usage().set(usage);
    page.account().keys().set(keys);
    Ok(())
}

fn seen<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error.code() == Some(Code::Forbidden) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One thing at a time; what came of it is said in the dialog.
fn act(page: Store<Page>, action: impl Future<Output = Result<String, PageError>> + 'static) {
    if page.account().is_busy().get_untracked() {
        return;
    }
    page.account().is_busy().set(true);
    page.account().said().set(None);
    page.account().error().set(None);
    task::spawn(page, async move {
        let outcome = action.await;
        page.account().is_busy().set(false);
        match outcome {
            Ok(said) => page.account().said().set(Some(said)),
            Err(error) => page.account().error().set(Some(sentence(&error.to_string()))),
        }
        keep_focus();
        Ok(())
    });
}

/// A button that did its work may be gone, and the focus with it.
fn keep_focus() {
    request_animation_frame(|| {
        let focused = document().active_element();
        if focused.is_none_or(|element| element.tag_name().eq_ignore_ascii_case("body"))
            && let Some(title) = document().get_element_by_id(TITLE_ID)
        {
            title.unchecked_into::<HtmlElement>().focus().ok();
        }
    });
}
