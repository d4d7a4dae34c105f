//! The one wrapper around `spawn_local`: what a task could not do is shown to the user.

use crate::{
    error::PageError,
    state::{Notice, Page, PageStoreFields as _},
};
use leptos::prelude::*;
use reactive_stores::Store;

/// Runs `future` beside the page and shows its error as a notice.
pub fn spawn(page: Store<Page>, future: impl Future<Output = Result<(), PageError>> + 'static) {
    leptos::task::spawn_local(async move {
        if let Err(error) = future.await {
            leptos::logging::error!("{error}");
            page.notice().set(Some(Notice::warning(format!("{}.", crate::words::sentence(&error.to_string())))));
        }
    });
}
