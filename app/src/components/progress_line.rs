use crate::{
    progress_words::{ProgressWords, loading, remote, running},
    state::{EngineStoreFields as _, Page, PageStoreFields as _, RunStoreFields as _, Status, expect_page, status},
    throttle::throttled,
    words::seconds,
};
use leptos::prelude::*;
use reactive_stores::Store;
use std::time::Duration;

/// What goes on: phase, step, speed and time left, also for those who listen.
#[component]
pub fn ProgressLine() -> impl IntoView {
    let page = expect_page();
    let words = Memo::new(move |_| words(page));
    let is_busy = Memo::new(move |_| matches!(status(page), Status::Starting | Status::Loading | Status::Running));
    let heard = throttled(Signal::derive(move || words.read().spoken()), Duration::from_secs(1));
    view! {
        <div class="progress-line">
            <p class="headline" id="progress-title">{move || words.read().headline.clone()}</p>
            <Show when=move || is_busy.get()>
                <progress
                    max="1"
                    aria-labelledby="progress-title"
                    value=move || words.read().share.map(|share| format!("{share:.4}"))
                ></progress>
            </Show>
            <p class="details">
                <For each=move || words.get().details key=Clone::clone let(detail)>
                    <span>{detail}</span>
                </For>
            </p>
            <p class="visually-hidden" role="status" aria-live="polite">{heard}</p>
        </div>
    }
}

fn words(page: Store<Page>) -> ProgressWords {
    let engine = page.engine();
    let run = page.run();
    if let Some(on_server) = run.remote().get() {
        if run.cancelling().get() {
            return ProgressWords::plain("Asking the server to stop");
        }
        return remote(on_server, run.progress().get().as_ref(), run.finished().get(), run.pictures().get());
    }
    match engine.status().get() {
        Status::Starting => ProgressWords::plain("Starting the engine"),
        Status::Loading => match engine.download().get() {
            Some(download) => loading(&download),
            None => ProgressWords::plain("Choosing the device"),
        },
        Status::Running if run.cancelling().get() => ProgressWords::plain("Stopping after this step"),
        Status::Running => running(run.progress().get().as_ref(), run.finished().get(), run.pictures().get()),
        Status::Error => ProgressWords::plain("Not ready"),
        Status::Ready => {
            let mut words = ProgressWords::plain("Ready");
            if let Some(model) = engine.model().read().as_ref() {
                words.details.push(format!("model {}", model.name));
            }
            if let Some(time) = run.seconds().get() {
                words.details.push(format!("last run took {}", seconds(time)));
            }
            words
        }
    }
}
