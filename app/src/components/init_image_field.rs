use super::{FieldError, NumberField, error_id};
use crate::{
    start_picture,
    state::{FormStoreFields as _, PageStoreFields as _, expect_page, strength},
};
use leptos::{ev, prelude::*, tachys::html::event::Targeted};
use spec::Strength;

/// The picture to start from: dropped, pasted or chosen, with how much of it is repainted.
#[component]
pub fn InitImageField() -> impl IntoView {
    let page = expect_page();
    let start = page.form().start();
    let error = page.form().start_error();
    let strength_text = page.form().strength();
    let strength_error = Signal::derive(move || strength(&strength_text.read()).err());

    let choose = move |event: Targeted<ev::Event, web_sys::HtmlInputElement>| {
        let input = event.target();
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            start_picture::take_file(page, file);
        }
        // So that choosing the same file again is a change.
        input.set_value("");
    };
    let thumbnail = move || {
        start.get().map(|start| {
            view! {
                <figure class="start-picture">
                    <img src=start.url alt="Start picture" />
                    <figcaption>{start.name}</figcaption>
                    <button type="button" class="quiet" on:click=move |_| start_picture::remove(page)>
                        "Remove"
                    </button>
                </figure>
            }
        })
    };
    view! {
        <fieldset class="field init-image">
            <legend>"Start picture"</legend>
            {thumbnail}
            <label class="file">
                <input
                    type="file"
                    id="start"
                    accept="image/*"
                    aria-invalid=move || error.read().is_some().then_some("true")
                    aria-describedby=error_id("start")
                    on:change:target=choose
                />
                <span>{move || if start.read().is_some() { "Choose another…" } else { "Choose, drop or paste a picture…" }}</span>
            </label>
            <FieldError id="start" error=Signal::derive(move || error.get()) />
            <Show when=move || start.read().is_some()>
                <NumberField
                    id="strength"
                    label="Strength"
                    value=strength_text
                    min=f64::from(Strength::MIN)
                    max=f64::from(Strength::MAX)
                    slider_max=1.0
                    step=0.05
                    error=strength_error
                />
            </Show>
        </fieldset>
    }
}
