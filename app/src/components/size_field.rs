use crate::size_presets::{label, parse, presets, swapped, word};
use leptos::prelude::*;
use reactive_stores::Field;
use spec::ImageSize;

/// Menu of sizes that fit the model, and a button that turns the picture.
#[component]
pub fn SizeField(
    /// The chosen size; `None` is the model's own.
    #[prop(into)]
    value: Field<Option<ImageSize>>,
    /// The size the model draws best, once it is loaded.
    #[prop(into)]
    native: Signal<Option<ImageSize>>,
) -> impl IntoView {
    let size = move || value.get().or(native.get());
    let options = move || {
        let Some(native) = native.get() else {
            return view! { <option value="">"The model's own"</option> }.into_any();
        };
        presets(native, value.get())
            .into_iter()
            .map(|preset| {
                view! {
                    <option value=word(preset) prop:selected=move || size() == Some(preset)>{label(preset, native)}</option>
                }
            })
            .collect_view()
            .into_any()
    };
    view! {
        <div class="field">
            <label for="size">"Size"</label>
            <div class="joined">
                <select
                    id="size"
                    name="size"
                    disabled=move || native.read().is_none()
                    on:change:target=move |event| value.set(parse(&event.target().value()))
                >
                    {options}
                </select>
                <button
                    type="button"
                    class="quiet"
                    aria-label="Swap width and height"
                    title="Swap width and height"
                    disabled=move || size().is_none_or(|size| size.width() == size.height())
                    on:click=move |_| value.set(size().map(swapped))
                >
                    "Swap"
                </button>
            </div>
        </div>
    }
}
