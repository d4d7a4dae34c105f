//! What can be done with finished pictures; the view calls these.

use crate::{
    error::PageError,
    gallery_db, start_picture,
    state::{GalleryStoreFields as _, Notice, Page, PageStoreFields as _, Picture, PictureRecord, RunStoreFields as _},
    task,
};
use leptos::prelude::*;
use reactive_stores::Store;
use spec::BatchSize;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Url};

/// Reads the stored pictures.
pub fn load(page: Store<Page>) {
    task::spawn(page, async move {
        let stored = gallery_db::load_all().await;
        page.gallery().is_loaded().set(true);
        let mut pictures = Vec::new();
        for gallery_db::Stored { id, file, record } in stored? {
            let url = object_url(&file)?;
            pictures.push(Picture { id, url, file, record, is_kept: true });
        }
        // A picture may have been made while the storage was read.
        page.gallery().pictures().write().extend(pictures);
        Ok(())
    });
}

/// Puts a finished picture on top and stores it; returns its id.
///
/// # Errors
/// When the browser has no address left for it.
pub fn add(page: Store<Page>, file: Blob, record: PictureRecord) -> Result<u64, PageError> {
    let last = page.gallery().pictures().read_untracked().iter().map(|picture| picture.id).max().unwrap_or(0);
    let id = (js_sys::Date::now() as u64 * 1000).max(last + 1);
    let picture = Picture { id, url: object_url(&file)?, file, record, is_kept: false };
    page.gallery().pictures().write().insert(0, picture.clone());
    task::spawn(page, async move {
        match gallery_db::put(id, &picture.file, &picture.record).await {
            Ok(()) => {
                if let Some(picture) = page.gallery().pictures().write().iter_mut().find(|picture| picture.id == id) {
                    picture.is_kept = true;
                }
                ask_to_persist().await;
            }
            Err(error) => {
                let why = match error {
                    PageError::Full => "This browser has no room left for pictures".to_owned(),
                    error => crate::words::sentence(&error.to_string()),
                };
                let text = format!("{why}. The new picture is shown until you leave; download it to keep it.");
                page.notice().set(Some(Notice::warning(text)));
            }
        }
        Ok(())
    });
    Ok(id)
}

/// Deletes a picture.
pub fn remove(page: Store<Page>, id: u64) {
    let pictures = page.gallery().pictures();
    let position = pictures.read_untracked().iter().position(|picture| picture.id == id);
    let Some(picture) = position.map(|position| pictures.write().remove(position)) else { return };
    Url::revoke_object_url(&picture.url).ok();
    if picture.is_kept {
        task::spawn(page, gallery_db::delete(id));
    }
}

/// Deletes every picture.
pub fn clear(page: Store<Page>) {
    let pictures = std::mem::take(&mut *page.gallery().pictures().write());
    for picture in pictures {
        Url::revoke_object_url(&picture.url).ok();
    }
    task::spawn(page, gallery_db::clear());
}

/// Fills the form so that the next run makes this picture again.
pub fn use_settings(page: Store<Page>, picture: &Picture) {
    page.form().write().fill(&picture.record.spec);
}

/// Starts the next run from this picture.
pub fn use_as_start(page: Store<Page>, picture: &Picture) {
    start_picture::take(page, picture.file.clone(), picture.file_name());
}

/// Shows this picture on the stage, unless a run is developing there.
pub fn show(page: Store<Page>, session: crate::session::Session, picture: Picture) {
    if session.is_running() {
        return;
    }
    session.plate.begin(BatchSize::MIN, (picture.record.info.width, picture.record.info.height));
    page.run().shown().set(Some(picture.id));
    page.run().has_plate().set(true);
    task::spawn(page, async move { session.plate.image(0, &picture.file).await });
}

fn object_url(file: &Blob) -> Result<String, PageError> {
    Url::create_object_url_with_blob(file).map_err(PageError::browser("showing the picture"))
}

/// Asks the browser not to clear the pictures and the model by itself; it may say no.
async fn ask_to_persist() {
    if let Ok(promise) = window().navigator().storage().persist() {
        JsFuture::from(promise).await.ok();
    }
}
