use super::{FieldError, error_id};
use leptos::{ev, prelude::*, tachys::html::event::Targeted};
use reactive_stores::Field;

/// A number to slide or to type; what was typed stays as it is, with what is wrong beside it.
#[component]
pub fn NumberField(
    /// Id of the number input.
    id: &'static str,
    /// What the number is.
    label: &'static str,
    /// The number as typed.
    #[prop(into)]
    value: Field<String>,
    /// Smallest value.
    min: f64,
    /// Largest value that can be typed.
    max: f64,
    /// Largest value of the slider: the range that is useful.
    slider_max: f64,
    /// Step of the slider.
    step: f64,
    /// What is wrong with it.
    #[prop(into)]
    error: Signal<Option<String>>,
) -> impl IntoView {
    let typed = move |event: Targeted<ev::Event, web_sys::HtmlInputElement>| {
        value.set(event.target().value());
    };
    // A number input gives an empty text for letters, so the keyboard's own hint is all that `text` loses.
    let input_mode = if step.fract() == 0.0 { "numeric" } else { "decimal" };
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <div class="slide-and-type">
                <input
                    type="range"
                    aria-label=format!("{label} slider")
                    min=min
                    max=slider_max
                    step=step
                    prop:value=move || value.get()
                    on:input:target=typed
                />
                <input
                    type="text"
                    id=id
                    name=id
                    inputmode=input_mode
                    autocomplete="off"
                    title=format!("{min} to {max}")
                    aria-invalid=move || error.read().is_some().then_some("true")
                    aria-describedby=error_id(id)
                    prop:value=move || value.get()
                    on:input:target=typed
                />
            </div>
            <FieldError id error />
        </div>
    }
}
