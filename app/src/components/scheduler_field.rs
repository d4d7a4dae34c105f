use leptos::prelude::*;
use reactive_stores::Field;
use spec::SchedulerKind;

/// Menu of schedulers, with the model's own as the first.
#[component]
pub fn SchedulerField(
    /// The chosen one; `None` is the model's own.
    #[prop(into)]
    value: Field<Option<SchedulerKind>>,
) -> impl IntoView {
    let options = SchedulerKind::ALL
        .iter()
        .map(|&kind| {
            view! {
                <option value=kind.to_string() prop:selected=move || value.get() == Some(kind)>{kind.infotext_name()}</option>
            }
        })
        .collect_view();
    view! {
        <div class="field">
            <label for="scheduler">"Scheduler"</label>
            <select id="scheduler" name="scheduler" on:change:target=move |event| value.set(event.target().value().parse().ok())>
                <option value="" prop:selected=move || value.get().is_none()>"The model's own"</option>
                {options}
            </select>
        </div>
    }
}
