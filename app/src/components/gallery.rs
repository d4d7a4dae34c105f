use super::{ConfirmDialog, GalleryItem};
use crate::{
    gallery,
    state::{GalleryStoreFields as _, PageStoreFields as _, expect_page},
};
use leptos::prelude::*;

/// What was made, newest first.
#[component]
pub fn Gallery() -> impl IntoView {
    let page = expect_page();
    let pictures = page.gallery().pictures();
    let asks = RwSignal::new(false);
    let count = Memo::new(move |_| pictures.read().len());
    view! {
        <section class="gallery" aria-labelledby="gallery-title">
            <div class="gallery-head">
                <h2 id="gallery-title">"Gallery"</h2>
                <p class="hint">
                    {move || match count.get() {
                        0 if !page.gallery().is_loaded().get() => "Opening the gallery".to_owned(),
                        0 => "Pictures you make stay here, in this browser".to_owned(),
                        1 => "1 picture".to_owned(),
                        count => format!("{count} pictures"),
                    }}
                </p>
                <Show when=move || count.get() != 0>
                    <button type="button" class="quiet" on:click=move |_| asks.set(true)>"Clear all…"</button>
                </Show>
            </div>
            <ul class="pictures">
                <For
                    each=move || pictures.get()
                    key=|picture| (picture.id, picture.is_kept)
                    children=move |picture| view! { <GalleryItem picture /> }
                />
            </ul>
            <ConfirmDialog
                id="confirm-clear"
                title="Delete every picture?"
                text="They are in this browser alone and cannot be had back"
                confirm="Delete all"
                keep="Keep them"
                is_open=asks
                on_confirm=move || gallery::clear(page)
            />
        </section>
    }
}
