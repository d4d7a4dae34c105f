//! What tests, benches and the style sheet read off `<html>`.

use crate::{
    device,
    state::{EngineStoreFields as _, Page, PageStoreFields as _, RunStoreFields as _, status},
};
use leptos::prelude::*;
use reactive_stores::Store;

/// Keeps the data attributes of `<html>` equal to the page's state.
pub fn mirror(page: Store<Page>) {
    mirror_one("data-state", move || Some(status(page).as_str().to_owned()));
    mirror_one("data-device", move || {
        page.engine().device().read().as_ref().map(|report| device::word(report.device).to_owned())
    });
    mirror_one("data-run-seconds", move || page.run().seconds().get().map(|seconds| format!("{seconds:.3}")));
    mirror_one("data-wasm-memory", move || page.run().wasm_memory_bytes().get().map(whole));
    mirror_one("data-device-bytes", move || {
        page.engine().model().read().as_ref().map(|model| whole(model.device_bytes))
    });
    mirror_one("data-fetched-bytes", move || {
        page.engine().download().read().as_ref().map(|download| whole(download.fetched))
    });
}

fn mirror_one(name: &'static str, value: impl Fn() -> Option<String> + Send + Sync + 'static) {
    let value = Memo::new(move |_| value());
    Effect::new(move |_| {
        let Some(root) = document().document_element() else { return };
        match value.get() {
            Some(value) => root.set_attribute(name, &value).ok(),
            None => root.remove_attribute(name).ok(),
        };
    });
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}
