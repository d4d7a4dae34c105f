use leptos::{html, prelude::*};

/// Asks before something that cannot be undone.
#[component]
pub fn ConfirmDialog(
    /// Id of the dialog, which its texts' ids begin with.
    id: &'static str,
    /// The question.
    #[prop(into)]
    title: Signal<String>,
    /// What follows from a yes.
    #[prop(into)]
    text: Signal<String>,
    /// The word for yes.
    #[prop(into)]
    confirm: Signal<String>,
    /// The word for no.
    keep: &'static str,
    /// Whether it is asked now; the dialog sets it back.
    #[prop(into)]
    is_open: RwSignal<bool>,
    /// What a yes does.
    on_confirm: impl Fn() + 'static,
) -> impl IntoView {
    let dialog: NodeRef<html::Dialog> = NodeRef::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if is_open.get() {
            dialog.show_modal().ok();
        } else {
            dialog.close();
        }
    });
    view! {
        <dialog
            node_ref=dialog
            id=id
            class="confirm"
            aria-labelledby=format!("{id}-title")
            aria-describedby=format!("{id}-text")
            on:close=move |_| is_open.set(false)
        >
            <h2 id=format!("{id}-title")>{title}</h2>
            <p id=format!("{id}-text")>{text}</p>
            <div class="dialog-buttons">
                <button type="button" class="quiet" autofocus on:click=move |_| is_open.set(false)>{keep}</button>
                <button
                    type="button"
                    class="primary"
                    on:click=move |_| {
                        on_confirm();
                        is_open.set(false);
                    }
                >
                    {confirm}
                </button>
            </div>
        </dialog>
    }
}
