use super::{
    DeviceLine, Examples, InitImageField, NumberField, PromptField, RunButtons, SchedulerField, SeedField, SizeField,
    UnknownWords,
};
use crate::{
    session::{expect_session, native_size},
    state::{
        EngineStoreFields as _, FormStoreFields as _, PageStoreFields as _, expect_page, guidance, pictures, steps,
    },
};
use leptos::prelude::*;
use spec::{BatchSize, Guidance, Steps};
use std::collections::HashSet;

/// Everything that decides the next pictures.
#[component]
pub fn Form() -> impl IntoView {
    let page = expect_page();
    let session = expect_session();
    let form = page.form();
    let model = page.engine().model();
    let native = Memo::new(move |_| model.read().as_ref().and_then(native_size));
    let examples = Memo::new(move |_| model.read().as_ref().map(|model| model.examples.clone()).unwrap_or_default());
    let known = Memo::new(move |_| {
        model.read().as_ref().map(|model| model.known_words.iter().cloned().collect::<HashSet<_>>()).unwrap_or_default()
    });
    let prompt_error = Signal::derive(move || {
        let is_missing = form.was_submitted().get() && form.prompt().read().trim().is_empty();
        is_missing.then(|| "Write what the picture should show".to_owned())
    });
    let steps_error = Signal::derive(move || steps(&form.steps().read()).err());
    let guidance_error = Signal::derive(move || guidance(&form.guidance().read()).err());
    let pictures_error = Signal::derive(move || pictures(&form.pictures().read()).err());

    view! {
        <form
            class="request"
            aria-labelledby="request-title"
            novalidate
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                session.run();
            }
        >
            <h2 id="request-title" class="visually-hidden">"Describe a picture"</h2>
            <PromptField
                id="prompt"
                label="Prompt"
                placeholder="a red apple on a blue background"
                rows=3
                value=form.prompt()
                error=prompt_error
            />
            <UnknownWords prompt=Signal::derive(move || form.prompt().get()) known />
            <RunButtons />
            <Examples examples prompt=form.prompt() />
            <details class="settings" open=is_wide()>
                <summary>"Settings"</summary>
                <PromptField
                    id="negative-prompt"
                    label="Negative prompt"
                    placeholder="What to keep away from"
                    rows=2
                    value=form.negative_prompt()
                />
                <NumberField
                    id="steps"
                    label="Steps"
                    value=form.steps()
                    min=f64::from(Steps::MIN)
                    max=f64::from(Steps::MAX)
                    slider_max=50.0
                    step=1.0
                    error=steps_error
                />
                <NumberField
                    id="guidance"
                    label="Guidance"
                    value=form.guidance()
                    min=f64::from(Guidance::MIN)
                    max=f64::from(Guidance::MAX)
                    slider_max=15.0
                    step=0.5
                    error=guidance_error
                />
                <SeedField value=form.seed() is_locked=form.is_seed_locked() />
                <SizeField value=form.size() native />
                <SchedulerField value=form.scheduler() />
                <NumberField
                    id="pictures"
                    label="Number of pictures"
                    value=form.pictures()
                    min=f64::from(BatchSize::MIN)
                    max=f64::from(BatchSize::MAX)
                    slider_max=f64::from(BatchSize::MAX)
                    step=1.0
                    error=pictures_error
                />
                <InitImageField />
            </details>
            <DeviceLine />
        </form>
    }
}

/// Whether the settings have room beside the stage; on a phone they stay folded so that the picture is near the prompt.
fn is_wide() -> bool {
    window().match_media("(min-width: 60rem)").ok().flatten().is_none_or(|query| query.matches())
}
