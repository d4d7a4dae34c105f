//! The root of the page's state.

use super::{Engine, Form, Gallery, Notice, Run};
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
    /// What was made.
    pub gallery: Gallery,
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
