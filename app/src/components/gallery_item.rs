use crate::{
    gallery,
    session::expect_session,
    state::{Picture, expect_page},
};
use leptos::prelude::*;

/// Up to this many pixels across, sharp pixels look better than a blur.
const PIXELATED_SIDE: u32 = 128;

/// A finished picture and what can be done with it.
#[component]
pub fn GalleryItem(
    /// The picture.
    picture: Picture,
) -> impl IntoView {
    let page = expect_page();
    let session = expect_session();
    let alt = picture.alt();
    let info = picture.record.info;
    let is_pixelated = info.width.max(info.height) <= PIXELATED_SIDE;
    let picture = StoredValue::new(picture);
    let with = move |action: fn(_, &Picture)| move |_| picture.with_value(|picture| action(page, picture));
    view! {
        <li class="print">
            <button
                type="button"
                class="print-face"
                aria-label=format!("Show: {alt}")
                on:click=move |_| gallery::show(page, session, picture.get_value())
            >
                <img
                    src=picture.with_value(|picture| picture.url.clone())
                    alt=""
                    width=info.width
                    height=info.height
                    loading="lazy"
                    decoding="async"
                    class:pixelated=is_pixelated
                />
            </button>
            <p class="print-title" title=picture.with_value(|picture| picture.record.parameters.clone())>{alt.clone()}</p>
            <p class="hint">
                {picture.with_value(|picture| {
                    let kept = if picture.is_kept { "" } else { ", not stored" };
                    format!("{}{kept}", picture.origin())
                })}
            </p>
            <details class="print-actions">
                <summary aria-label=format!("Actions for: {alt}")>"Actions"</summary>
                <a
                    class="button quiet"
                    href=picture.with_value(|picture| picture.url.clone())
                    download=picture.with_value(Picture::file_name)
                >
                    "Download PNG"
                </a>
                <button type="button" class="quiet" on:click=with(gallery::use_settings)>"Use these settings"</button>
                <button type="button" class="quiet" on:click=with(gallery::use_as_start)>"Use as start picture"</button>
                <button type="button" class="quiet" on:click=with(|page, picture| gallery::remove(page, picture.id))>
                    "Delete"
                </button>
            </details>
        </li>
    }
}
