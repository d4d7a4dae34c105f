use crate::{
    state::{EngineStoreFields as _, LibraryModel, PageStoreFields as _, Phase, expect_page},
    words::{bytes, seconds},
};
use leptos::prelude::*;
use protocol::{Download, PartProgress};

/// How much of a model is here: in all, and part by part.
#[component]
pub fn ModelProgress(
    /// The model.
    model: Memo<LibraryModel>,
    /// The picture view is fetching or loading it.
    is_loading: Memo<bool>,
) -> impl IntoView {
    let page = expect_page();
    // What the picture view fetches is told by its own worker.
    let download =
        Memo::new(move |_| if is_loading.get() { page.engine().download().get() } else { model.read().download });
    let amounts = Memo::new(move |_| match download.get() {
        Some(Download { bytes, of, .. }) => (bytes + model.read().arriving, of),
        None => (model.read().bytes, model.read().of),
    });
    let parts = Memo::new(move |_| model.read().parts.clone());
    let headline = move || {
        let (here, of) = amounts.get();
        headline(&model.read(), is_loading.get(), (here, of))
    };
    view! {
        <div class="model-progress">
            <p class="headline">{headline}</p>
            <p class="details">
                <For each=move || details(download.get().as_ref(), amounts.get()) key=Clone::clone let(detail)>
                    <span>{detail}</span>
                </For>
            </p>
            <ul class="parts">
                <For each=move || parts.get() key=|part| part.name.clone() let(part)>
                    <PartLine name=part.name parts />
                </For>
            </ul>
        </div>
    }
}

/// How much of one part is here.
#[component]
fn PartLine(
    /// Its name in the file.
    name: String,
    /// All parts.
    parts: Memo<Vec<PartProgress>>,
) -> impl IntoView {
    let label = part_label(&name);
    let part = Memo::new(move |_| parts.read().iter().find(|part| part.name == name).cloned());
    let amounts = Memo::new(move |_| part.read().as_ref().map_or((0.0, 0.0), |part| (part.bytes, part.of)));
    view! {
        <li class="part">
            <span class="part-name">{label}</span>
            <progress max="1" aria-label=label value=move || format!("{:.4}", share(amounts.get()))></progress>
            <span class="part-size">{move || {
                let (here, of) = amounts.get();
                if here >= of { bytes(of) } else { format!("{} of {}", bytes(here), bytes(of)) }
            }}</span>
        </li>
    }
}

fn share((here, of): (f64, f64)) -> f64 {
    if of > 0.0 { (here / of).clamp(0.0, 1.0) } else { 0.0 }
}

fn part_label(name: &str) -> &'static str {
    match name {
        "text_encoder" => "Text encoder",
        "unet" => "Denoiser",
        "taesd" => "Preview decoder",
        _ => "Autoencoder",
    }
}

fn headline(model: &LibraryModel, is_loading: bool, (here, of): (f64, f64)) -> String {
    match model.phase {
        Phase::Waiting => "Measuring this device first".to_owned(),
        Phase::Fetching if model.download.is_none() => "Asking for it".to_owned(),
        Phase::Fetching => "Downloading".to_owned(),
        Phase::Pausing => "Pausing".to_owned(),
        Phase::Checking(share) => format!("Verifying, {:.0} %", share * 100.0),
        Phase::Deleting => "Deleting".to_owned(),
        Phase::Resting if is_loading => "The picture view is loading it".to_owned(),
        Phase::Resting if of > 0.0 && here >= of => "Stored".to_owned(),
        Phase::Resting if here > 0.0 => "Paused".to_owned(),
        Phase::Resting => "Not stored".to_owned(),
    }
}

fn details(download: Option<&Download>, (here, of): (f64, f64)) -> Vec<String> {
    if of <= 0.0 {
        return Vec::new();
    }
    let mut details = vec![if here >= of { bytes(of) } else { format!("{} of {}", bytes(here), bytes(of)) }];
    let Some(download) = download else { return details };
    let left = of - here;
    if let Some(speed) = download.bytes_per_second.filter(|&speed| speed > 0.0 && left > 0.0) {
        details.push(format!("{}/s", bytes(speed)));
        details.push(format!("about {} left", seconds(left / speed)));
    }
    if download.attempt > 1 && left > 0.0 {
        details.push(format!("attempt {}", download.attempt));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_tells_speed_and_time_left() {
        let download = Download { bytes: 4e6, of: 12e6, fetched: 2e6, bytes_per_second: Some(2e6), attempt: 2 };
        let words = details(Some(&download), (4e6, 12e6));
        assert_eq!(words, ["4.0 MB of 12.0 MB", "2.0 MB/s", "about 4.0 s left", "attempt 2"]);
        assert_eq!(details(None, (12e6, 12e6)), ["12.0 MB"]);
        assert!(details(None, (0.0, 0.0)).is_empty());
    }

    #[test]
    fn what_is_stored_in_part_is_paused() {
        let model = LibraryModel::new("/a.json");
        assert_eq!(headline(&model, false, (0.0, 9.0)), "Not stored");
        assert_eq!(headline(&model, false, (5.0, 9.0)), "Paused");
        assert_eq!(headline(&model, false, (9.0, 9.0)), "Stored");
        let checking = LibraryModel { phase: Phase::Checking(0.5), ..model };
        assert_eq!(headline(&checking, false, (9.0, 9.0)), "Verifying, 50 %");
    }
}
