use crate::{
    session::expect_session,
    state::{Action, NoticeKind, PageStoreFields as _, expect_page},
};
use leptos::prelude::*;

/// What the user should read now, and what can be done about it.
#[component]
pub fn NoticeBar() -> impl IntoView {
    let page = expect_page();
    let session = expect_session();
    let notice = page.notice();
    view! {
        <div role="alert">
            {move || {
                notice.get().map(|notice_now| view! {
                    <div class="notice" class:error=notice_now.kind == NoticeKind::Error>
                        <p>{notice_now.text}</p>
                        <div class="notice-buttons">
                            {(notice_now.action == Action::Retry).then(|| view! {
                                <button type="button" class="secondary" on:click=move |_| session.retry()>"Retry"</button>
                            })}
                            <button type="button" class="quiet" on:click=move |_| notice.set(None)>"Dismiss"</button>
                        </div>
                    </div>
                })
            }}
        </div>
    }
}
