use leptos::prelude::*;
use reactive_stores::Field;

/// Prompts to click.
#[component]
pub fn Examples(
    /// The model's examples, best first.
    #[prop(into)]
    examples: Signal<Vec<String>>,
    /// The prompt that a click fills.
    #[prop(into)]
    prompt: Field<String>,
) -> impl IntoView {
    view! {
        <Show when=move || !examples.read().is_empty()>
            <div class="examples" role="group" aria-labelledby="examples-title">
                <h3 id="examples-title">"Try one of these"</h3>
                <ul>
                    <For each=move || examples.get() key=Clone::clone let(example)>
                        <li>
                            <button type="button" class="chip" on:click={
                                let example = example.clone();
                                move |_| prompt.set(example.clone())
                            }>{example.clone()}</button>
                        </li>
                    </For>
                </ul>
            </div>
        </Show>
    }
}
