use super::account_dialog::Asked;
use crate::{
    account,
    state::{AccountStoreFields as _, PageStoreFields as _, expect_page},
};
use client::{Key, KeyKind};
use leptos::prelude::*;

/// The account's keys, and what can be done with each.
#[component]
pub fn AccountKeys(
    /// Asks before a key is changed.
    ask: Callback<Asked>,
) -> impl IntoView {
    let keys = expect_page().account().keys();
    view! {
        <section class="account-part" aria-labelledby="keys-title">
            <h3 id="keys-title">"Keys"</h3>
            <ul class="keys">
                <For each=move || keys.get() key=|key| (key.id.clone(), key.shown.clone(), key.last_used_at.clone()) let(key)>
                    <KeyRow key_row=key ask />
                </For>
            </ul>
        </section>
    }
}

#[component]
fn KeyRow(
    /// The key.
    key_row: Key,
    /// Asks before it is changed.
    ask: Callback<Asked>,
) -> impl IntoView {
    let page = expect_page();
    let state = page.account();
    let key = key_row;
    let is_busy = state.is_busy();
    let shown = format!("{}…", key.shown);
    let name = key.name.clone();
    let words = words(&key, account::is_own(page, &key));
    let (rotated, deleted) = (key.clone(), key);
    view! {
        <li class="key-row">
            <div>
                <p><code>{shown.clone()}</code>" "{name}</p>
                <p class="hint">{words}</p>
            </div>
            <div class="key-buttons">
                <button
                    type="button"
                    class="quiet"
                    aria-label=format!("Replace {shown}")
                    disabled=move || is_busy.get()
                    on:click=move |_| ask.run(Asked::Rotate(rotated.clone()))
                >
                    "Replace…"
                </button>
                <button
                    type="button"
                    class="quiet"
                    aria-label=format!("Delete {shown}")
                    disabled=move || is_busy.get()
                    on:click=move |_| ask.run(Asked::Delete(deleted.clone()))
                >
                    "Delete…"
                </button>
            </div>
        </li>
    }
}

fn words(key: &Key, is_own: bool) -> String {
    let mut words = Vec::new();
    if is_own {
        words.push("used by this page".to_owned());
    }
    if key.kind == KeyKind::Publishable {
        words.push(format!("for pages of {}", key.origins.join(", ")));
    }
    words.push(format!("made {}", minute(&key.created_at)));
    words.push(match &key.last_used_at {
        Some(time) => format!("last used {}", minute(time)),
        None => "never used".to_owned(),
    });
    crate::words::sentence(&words.join(", "))
}

/// A time of the wire (RFC 3339, in UTC) to the minute.
fn minute(time: &str) -> String {
    match time.get(..16) {
        Some(minute) => format!("{} UTC", minute.replace('T', " ")),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_is_for_and_when_it_was_used() {
        let key = Key {
            id: "key_1".to_owned(),
            kind: KeyKind::Publishable,
            shown: "pk_live_ab12".to_owned(),
            name: String::new(),
            scopes: Vec::new(),
            origins: vec!["https://example.com".to_owned()],
            created_at: "2026-11-21T13:31:44.123Z".to_owned(),
            last_used_at: None,
        };
        assert_eq!(words(&key, false), "For pages of https://example.com, made 2026-11-21 13:31 UTC, never used");
        let used = Key { kind: KeyKind::Secret, last_used_at: Some("2026-11-22".to_owned()), ..key };
        assert_eq!(words(&used, true), "Used by this page, made 2026-11-21 13:31 UTC, last used 2026-11-22");
    }
}
