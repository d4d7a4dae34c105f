//! The page.

use crate::{
    components::{AccountButton, AccountDialog, Form, Gallery, ModelsView, NoticeBar, Stage, ViewLinks},
    gallery, library, root_data, session, shortcuts,
    state::{self, PageStoreFields as _, ServerStoreFields as _},
    view::{self, View},
};
use leptos::{mount::mount_to, prelude::*};
use wasm_bindgen::JsCast as _;

/// Puts the page in the place of `index.html`'s waiting element.
pub fn mount() {
    let Some(root) = document().get_element_by_id("app") else {
        leptos::logging::error!("index.html has no element `app`");
        return;
    };
    root.set_inner_html("");
    mount_to(root.unchecked_into(), App).forget();
}

/// The whole page.
#[component]
fn App() -> impl IntoView {
    let page = state::provide_page();
    let session = session::provide_session(page);
    library::provide_library(page, session);
    root_data::mirror(page);
    gallery::load(page);
    let is_dragging = shortcuts::listen(page, session);

    let view = view::listen();
    let has_models = Memo::new(move |_| view.get() == View::Models);

    let has_server = page.server().is_reachable();
    let tagline = move || {
        if has_server.get() {
            "Words develop into pictures, in your own browser, and nothing leaves it until you run on the server"
        } else {
            "Words develop into pictures, in your own browser, and nothing leaves it"
        }
    };

    view! {
        <a class="skip" href=move || if has_models.get() { "#models-view" } else { "#stage" }>
            {move || if has_models.get() { "Skip to the models" } else { "Skip to the picture" }}
        </a>
        <header class="masthead">
            <h1 class="wordmark"><span class="safelight" aria-hidden="true"></span>"Darkroom"</h1>
            <p class="tagline">{tagline}</p>
            <ViewLinks view />
            <Show when=move || has_server.get()>
                <AccountButton />
            </Show>
        </header>
        // Hidden and not gone: a picture that develops stays on the stage.
        <main hidden=has_models>
            <div class="bench">
                <Form />
                <div class="developing">
                    <NoticeBar />
                    <Stage />
                </div>
            </div>
            <Gallery />
        </main>
        <Show when=move || has_models.get()>
            <ModelsView />
        </Show>
        <Show when=move || has_server.get()>
            <AccountDialog />
        </Show>
        <div class="drop-hint" aria-hidden="true" class:visible=is_dragging>"Drop the picture to start from it"</div>
    }
}
