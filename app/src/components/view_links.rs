use crate::view::View;
use leptos::prelude::*;

/// The way from one view to the other.
#[component]
pub fn ViewLinks(
    /// The view that is shown.
    #[prop(into)]
    view: Signal<View>,
) -> impl IntoView {
    let link = move |to: View, label: &'static str| {
        view! { <a href=to.address() aria-current=move || (view.get() == to).then_some("page")>{label}</a> }
    };
    view! {
        <nav class="views" aria-label="Views">
            {link(View::Pictures, "Pictures")}
            {link(View::Models, "Models")}
        </nav>
    }
}
