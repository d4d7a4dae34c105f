use crate::{
    account, run_costs,
    state::{AccountStoreFields as _, PageStoreFields as _, expect_page},
};
use leptos::prelude::*;

/// Opens the account, and says what is left of it.
#[component]
pub fn AccountButton() -> impl IntoView {
    let page = expect_page();
    let usage = page.account().usage();
    view! {
        <button type="button" class="quiet account-button" aria-haspopup="dialog" on:click=move |_| account::open(page)>
            {move || match usage.read().as_ref() {
                Some(usage) => format!("Account, {}", run_costs::credits(usage.credits)),
                None => "Account".to_owned(),
            }}
        </button>
    }
}
