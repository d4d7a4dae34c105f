use super::ProgressLine;
use crate::{
    session::expect_session,
    state::{
        FormStoreFields as _, GalleryStoreFields as _, PageStoreFields as _, RunStoreFields as _, Status, expect_page,
        status,
    },
};
use leptos::{html, prelude::*};
use web_sys::{ScrollIntoViewOptions, ScrollLogicalPosition};

/// Where the picture develops, what goes on, and what came out.
#[component]
pub fn Stage() -> impl IntoView {
    let page = expect_page();
    let plate = expect_session().plate;
    let is_running = Memo::new(move |_| status(page) == Status::Running);
    let has_plate = page.run().has_plate();
    let shown = Memo::new(move |_| {
        let id = page.run().shown().get()?;
        page.gallery().pictures().read().iter().find(|picture| picture.id == id).cloned()
    });
    let label = move || match shown.read().as_ref() {
        Some(picture) => picture.alt(),
        None if has_plate.get() => format!("Preview: {}", page.form().prompt().read_untracked()),
        None => "No picture yet".to_owned(),
    };

    let section: NodeRef<html::Section> = NodeRef::new();

    // On a phone the stage is below the form; who runs wants to see it.
    Effect::new(move |_| {
        if is_running.get()
            && let Some(section) = section.get_untracked()
        {
            let options = ScrollIntoViewOptions::new();
            options.set_block(ScrollLogicalPosition::Nearest);
            section.scroll_into_view_with_scroll_into_view_options(&options);
        }
    });

    let caption = move || {
        shown.get().filter(|_| !is_running.get()).map(|picture| {
            let name = picture.file_name();
            view! {
                <figcaption class="caption">
                    <p>{picture.alt()}</p>
                    <p class="hint">{picture.origin()}</p>
                    <a class="button secondary" href=picture.url download=name>"Download PNG"</a>
                </figcaption>
            }
        })
    };
    view! {
        <section node_ref=section class="stage" id="stage" aria-labelledby="stage-title" tabindex="-1">
            <h2 id="stage-title" class="visually-hidden">"Picture"</h2>
            <figure>
                <div class="tray" class:developing=is_running class:empty=move || !has_plate.get()>
                    <canvas node_ref=plate.canvas width="1" height="1" role="img" aria-label=label></canvas>
                    <p class="tray-hint" aria-hidden="true">
                        {move || if is_running.get() { "Developing" } else { "Your picture develops here" }}
                    </p>
                </div>
                {caption}
            </figure>
            <ProgressLine />
        </section>
    }
}
