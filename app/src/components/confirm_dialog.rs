use leptos::{html, prelude::*};

/// Asks before something that cannot be undone.
#[component]
pub fn ConfirmDialog(
    /// The question.
    title: &'static str,
    /// What follows from a yes.
    text: &'static str,
    /// The word for yes.
    confirm: &'static str,
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
            class="confirm"
            aria-labelledby="confirm-title"
            aria-describedby="confirm-text"
            on:close=move |_| is_open.set(false)
        >
            <h2 id="confirm-title">{title}</h2>
            <p id="confirm-text">{text}</p>
            <div class="dialog-buttons">
                <button type="button" class="quiet" autofocus on:click=move |_| is_open.set(false)>"Keep them"</button>
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
