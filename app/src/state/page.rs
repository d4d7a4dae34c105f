//! The root of the page's state.

use super::{
    Account, Engine, EngineStoreFields as _, Form, Gallery, Library, Notice, Run, RunStoreFields as _, Server, Status,
};
use leptos::prelude::*;
use reactive_stores::Store;

/// Everything the page knows.
#[derive(Debug, Default, Store)]
pub struct Page {
    /// What the user asks for.
    pub form: Form,
    /// The engine and its model.
    pub engine: Engine,
    /// The run that goes on, or the last one.
    pub run: Run,
    /// The edge behind the page, if there is one.
    pub server: Server,
    /// The visitor's account there.
    pub account: Account,
    /// What was made.
    pub gallery: Gallery,
    /// What pictures can be made with.
    pub library: Library,
    /// What the user should read now.
    pub notice: Option<Notice>,
}

/// Puts a new page's state into the context.
pub fn provide_page() -> Store<Page> {
    let page = Store::new(Page::default());
    provide_context(page);
    page
}

/// The page's state.
pub fn expect_page() -> Store<Page> {
    expect_context()
}

/// Where the page is: a run on the server counts as one, whatever the engine does meanwhile.
pub fn status(page: Store<Page>) -> Status {
    if page.run().remote().read().is_some() { Status::Running } else { page.engine().status().get() }
}

/// The same, without listening for changes.
pub fn status_untracked(page: Store<Page>) -> Status {
    untrack(|| status(page))
}
