use super::{FieldError, error_id};
use leptos::prelude::*;
use reactive_stores::Field;

/// A prompt: a text area that says what is wrong with it.
#[component]
pub fn PromptField(
    /// Id of the text area.
    id: &'static str,
    /// What the field is for.
    label: &'static str,
    /// What could be written into it.
    placeholder: &'static str,
    /// Lines that show at first.
    rows: u32,
    /// The text.
    #[prop(into)]
    value: Field<String>,
    /// What is wrong with it.
    #[prop(into, optional)]
    error: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <textarea
                id=id
                name=id
                rows=rows
                placeholder=placeholder
                autocapitalize="off"
                aria-invalid=move || error.read().is_some().then_some("true")
                aria-describedby=error_id(id)
                prop:value=move || value.get()
                on:input:target=move |event| value.set(event.target().value())
            ></textarea>
            <FieldError id error />
        </div>
    }
}
