use leptos::prelude::*;
use std::collections::HashSet;

/// The words of a prompt that the model does not know, while it is typed.
#[component]
pub fn UnknownWords(
    /// The prompt.
    #[prop(into)]
    prompt: Signal<String>,
    /// Every word the model knows; empty when it knows a whole language.
    #[prop(into)]
    known: Signal<HashSet<String>>,
) -> impl IntoView {
    let unknown = Memo::new(move |_| crate::words::unknown(&prompt.read(), &known.read()));
    view! {
        <p class="unknown-words" role="status">
            {move || {
                let unknown = unknown.get();
                (!unknown.is_empty()).then(|| format!("The model does not know: {}", unknown.join(", ")))
            }}
        </p>
    }
}
