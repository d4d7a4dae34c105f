//! Where this browser keeps the key: the page's local storage, which other pages of the same origin can read and no other.

use leptos::prelude::*;
use web_sys::Storage;

const NAME: &str = "darkroom-key";

/// A browser may refuse to store anything, and says so in several ways.
fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

/// The stored key.
pub fn read() -> Option<String> {
    storage()?.get_item(NAME).ok().flatten().filter(|key| !key.is_empty())
}

/// Stores a key; returns whether it will be there on the next visit.
pub fn write(key: &str) -> bool {
    storage().is_some_and(|storage| storage.set_item(NAME, key).is_ok())
}

/// Deletes the stored key.
pub fn remove() {
    if let Some(storage) = storage() {
        storage.remove_item(NAME).ok();
    }
}
