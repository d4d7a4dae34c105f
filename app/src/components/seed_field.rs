use super::{FieldError, error_id};
use crate::state::seed;
use leptos::prelude::*;
use reactive_stores::Field;

/// Number input with a padlock: locked keeps the seed between runs, unlocked draws a new one for each.
#[component]
pub fn SeedField(
    /// The seed as typed, or as drawn for the last run.
    #[prop(into)]
    value: Field<String>,
    /// Whether it stays between runs.
    #[prop(into)]
    is_locked: Field<bool>,
) -> impl IntoView {
    let error = Signal::derive(move || is_locked.get().then(|| seed(&value.read()).err()).flatten());
    view! {
        <div class="field">
            <label for="seed">"Seed"</label>
            <div class="joined">
                <input
                    type="text"
                    id="seed"
                    name="seed"
                    inputmode="numeric"
                    autocomplete="off"
                    placeholder="Drawn for each run"
                    aria-invalid=move || error.read().is_some().then_some("true")
                    aria-describedby=error_id("seed")
                    prop:value=move || value.get()
                    on:input:target=move |event| {
                        value.set(event.target().value());
                        // Whoever types a seed wants that one.
                        is_locked.set(true);
                    }
                />
                <button
                    type="button"
                    class="quiet lock"
                    aria-label="Keep this seed"
                    aria-pressed=move || if is_locked.get() { "true" } else { "false" }
                    title=move || if is_locked.get() { "Locked: every run has this seed" } else { "Unlocked: every run draws a new seed" }
                    on:click=move |_| is_locked.update(|is_locked| *is_locked = !*is_locked)
                >
                    {move || if is_locked.get() { "Locked" } else { "Random" }}
                </button>
            </div>
            <FieldError id="seed" error />
        </div>
    }
}
