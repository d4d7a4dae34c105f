//! What a run here and a run on the server have in common: the run's state, the stage, and where finished pictures go.

use crate::{
    error::PageError,
    gallery,
    plate::Plate,
    state::{Page, PageStoreFields as _, PictureRecord, RunStoreFields as _},
};
use js_sys::{Array, ArrayBuffer};
use leptos::prelude::*;
use reactive_stores::Store;
use spec::ImageSize;
use web_sys::{Blob, BlobPropertyBag};

/// Begins a run of `pictures`, of which an earlier try made `finished`; returns its number.
pub fn begin(page: Store<Page>, plate: Plate, pictures: u32, finished: u32, size: ImageSize) -> u32 {
    let id = page.run().id().get_untracked() + 1;
    {
        let run = page.run();
        let mut run = run.write();
        run.id = id;
        run.progress = None;
        run.pictures = pictures;
        run.finished = finished;
        run.cancelling = false;
        run.shown = None;
        run.has_plate = finished > 0;
    }
    if finished == 0 {
        plate.begin(pictures, size.into());
    }
    id
}

/// Puts picture `index` of the run, the `finished`th that is done, into the gallery and onto the stage.
///
/// # Errors
/// When the browser cannot show the file.
pub async fn finish_picture(
    page: Store<Page>,
    plate: Plate,
    (index, finished): (u32, u32),
    file: Blob,
    record: PictureRecord,
) -> Result<(), PageError> {
    let id = gallery::add(page, file.clone(), record)?;
    {
        let run = page.run();
        let mut run = run.write();
        run.finished = finished;
        run.shown = Some(id);
        run.has_plate = true;
    }
    plate.image(index, &file).await
}

/// A PNG file.
///
/// # Errors
/// When the browser has no room for it.
pub fn png(bytes: &ArrayBuffer) -> Result<Blob, PageError> {
    let options = BlobPropertyBag::new();
    options.set_type("image/png");
    Blob::new_with_buffer_source_sequence_and_options(&Array::of1(bytes), &options)
        .map_err(PageError::browser("taking the picture"))
}

/// Moves the focus to the first field that is wrong, after the view has marked it.
pub fn focus_first_error() {
    request_animation_frame(|| {
        use wasm_bindgen::JsCast as _;
        let field = document().query_selector("[aria-invalid=true]").ok().flatten();
        if let Some(field) = field.and_then(|field| field.dyn_into::<web_sys::HtmlElement>().ok()) {
            field.focus().ok();
        }
    });
}
