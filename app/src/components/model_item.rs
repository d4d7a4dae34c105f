use super::{ModelButtons, ModelProgress};
use crate::{
    estimate::{Outlook, outlook},
    library,
    room::machine_bytes,
    state::{EngineStoreFields as _, LibraryModel, LibraryStoreFields as _, PageStoreFields as _, Room, expect_page},
    words::bytes,
};
use leptos::prelude::*;

/// One model of the list.
#[component]
pub fn ModelItem(
    /// URL of its manifest.
    url: String,
    /// Asks before it is deleted.
    ask: Callback<(String, String)>,
) -> impl IntoView {
    let page = expect_page();
    let state = page.library();
    let address = StoredValue::new(url);
    let model = Memo::new(move |_| {
        let models = state.models();
        let models = models.read();
        let found = models.iter().find(|model| address.with_value(|url| model.url == *url)).cloned();
        found.unwrap_or_default()
    });
    let is_chosen = Memo::new(move |_| address.with_value(|url| *page.engine().manifest_url().read() == *url));
    let is_loading = Memo::new(move |_| address.with_value(|url| library::is_loading(page, url)));
    let expected = Memo::new(move |_| {
        let details = model.read().details.clone()?;
        let choice = page.engine().choice().get();
        Some((outlook(&details, state.probe().read().as_ref()?, choice, machine_bytes())?, details))
    });
    view! {
        <li>
            <article class="model" aria-label=move || model.read().name()>
                <div class="model-head">
                    <h3>{move || model.read().name()}</h3>
                    <Show when=move || is_chosen.get()>
                        <p class="badge">{move || if is_loading.get() { "Being loaded" } else { "In use" }}</p>
                    </Show>
                </div>
                <p class="hint model-facts">{move || facts(&model.read())}</p>
                <div class="outlook">
                    {move || expected.get().map(|(outlook, details)| view! {
                        <p>{outlook.time_words(&details)}</p>
                        <p class:unfit=outlook.is_hopeless()>{outlook.fit_words()}</p>
                        {caution(&outlook)}
                    })}
                    {move || lack(&model.read(), state.room().get()).map(|words| view! { <p class="unfit">{words}</p> })}
                </div>
                <ModelProgress model is_loading />
                <p class="model-said" role="status">{move || model.read().said.clone()}</p>
                <p class="field-error" role="alert">{move || model.read().problem.clone()}</p>
                <ModelButtons model is_chosen is_loading ask />
            </article>
        </li>
    }
}

fn caution(outlook: &Outlook) -> Option<impl IntoView + use<>> {
    outlook.caution().map(|words| view! { <p class="unknown-words">{words}</p> })
}

/// What to say where the browser has no room for the rest of it.
fn lack(model: &LibraryModel, room: Option<Room>) -> Option<String> {
    let (missing, free) = (model.of - model.bytes, room.map(|room| (room.quota - room.usage).max(0.0))?);
    (missing > free).then(|| {
        format!("Its file needs {} more, but only {} are free; delete another model first", bytes(missing), bytes(free))
    })
}

fn facts(model: &LibraryModel) -> String {
    match &model.details {
        Some(details) => format!("{}, {}, {}", details.family, bytes(details.size_bytes), details.file),
        None if model.problem.is_some() => model.url.clone(),
        None => "Reading what it is".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_finds_no_room_says_how_much_it_lacks() {
        let model = LibraryModel { bytes: 1e9, of: 3e9, ..LibraryModel::new("/a.json") };
        let room = |free: f64| Some(Room { usage: 5e9, quota: 5e9 + free });
        assert_eq!(lack(&model, room(2e9)), None);
        assert_eq!(
            lack(&model, room(1.5e9)).unwrap(),
            "Its file needs 2.00 GB more, but only 1.50 GB are free; delete another model first"
        );
        assert_eq!(lack(&model, None), None);
    }
}
