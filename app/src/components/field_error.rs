use leptos::prelude::*;

/// Id of the error text that belongs to the field `id`, for `aria-describedby`.
pub fn error_id(id: &str) -> String {
    format!("{id}-error")
}

/// What is wrong with a field, under it.
#[component]
pub fn FieldError(
    /// Id of the field.
    id: &'static str,
    /// What is wrong, if anything is.
    #[prop(into)]
    error: Signal<Option<String>>,
) -> impl IntoView {
    view! { <p class="field-error" id=error_id(id) aria-live="polite">{error}</p> }
}
