//! The browser's room for what the page keeps.

use crate::{
    error::PageError,
    state::{Keeping, LibraryStoreFields as _, Page, PageStoreFields as _, Room},
    task,
};
use js_sys::Reflect;
use leptos::prelude::*;
use reactive_stores::Store;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::StorageManager;

/// A page that is not served safely has no storage of its own, whatever the typed bindings say.
fn manager() -> Option<StorageManager> {
    let manager = window().navigator().storage();
    (!manager.is_undefined()).then_some(manager)
}

/// Asks the browser how much room there is, and whether it keeps what is there.
pub fn look(page: Store<Page>) {
    task::spawn(page, async move {
        let Some(manager) = manager() else { return Ok(()) };
        let failed = || PageError::browser("asking for the room");
        let estimate = JsFuture::from(manager.estimate().map_err(failed())?).await.map_err(failed())?;
        let figure = |name: &str| Reflect::get(&estimate, &name.into()).ok().and_then(|value| value.as_f64());
        if let (Some(usage), Some(quota)) = (figure("usage"), figure("quota")) {
            page.library().room().set(Some(Room { usage, quota }));
        }
        let is_kept = JsFuture::from(manager.persisted().map_err(failed())?).await.map_err(failed())?;
        if is_kept.is_truthy() {
            page.library().keeping().set(Keeping::Promised);
        } else if page.library().keeping().get_untracked() == Keeping::Unknown {
            page.library().keeping().set(Keeping::BestEffort);
        }
        Ok(())
    });
}

/// Asks the browser to keep what is stored.
pub fn keep(page: Store<Page>) {
    task::spawn(page, async move {
        let Some(manager) = manager() else {
            page.library().keeping().set(Keeping::Refused);
            return Ok(());
        };
        let failed = || PageError::browser("asking the browser to keep the models");
        let answer = JsFuture::from(manager.persist().map_err(failed())?).await.map_err(failed())?;
        let keeping = if answer.is_truthy() { Keeping::Promised } else { Keeping::Refused };
        page.library().keeping().set(keeping);
        Ok(())
    });
}

/// The memory of this machine, where the browser says so.
pub fn machine_bytes() -> Option<f64> {
    let navigator: JsValue = window().navigator().into();
    let gigabytes = Reflect::get(&navigator, &"deviceMemory".into()).ok()?.as_f64()?;
    // 8 stands for anything larger.
    (gigabytes < 8.0).then_some(gigabytes * 1_073_741_824.0)
}
