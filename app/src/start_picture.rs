//! A picture to start from: taken from a file, and cut to the size of a run.

use crate::{
    error::PageError,
    plate::{decode, new_canvas},
    state::{FormStoreFields as _, Page, PageStoreFields as _, StartPicture},
    task,
    words::sentence,
};
use js_sys::{ArrayBuffer, Promise, Reflect, Uint8Array, Uint8ClampedArray};
use leptos::prelude::*;
use reactive_stores::Store;
use spec::ImageSize;
use wasm_bindgen::{Clamped, JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, DataTransfer, File, HtmlCanvasElement, ImageData, Url};

/// Takes `file` as the start picture, or says by the field why it cannot be.
pub fn take(page: Store<Page>, file: Blob, name: String) {
    task::spawn(page, async move {
        match decode(&file).await {
            Ok(bitmap) => {
                bitmap.close();
                let url =
                    Url::create_object_url_with_blob(&file).map_err(PageError::browser("showing the start picture"))?;
                remove(page);
                page.form().start().set(Some(StartPicture { file, url, name }));
            }
            Err(error) => page.form().start_error().set(Some(sentence(&error.to_string()))),
        }
        Ok(())
    });
}

/// Takes a file that the user gave.
pub fn take_file(page: Store<Page>, file: File) {
    let name = file.name();
    take(page, file.unchecked_into(), name);
}

/// Goes back to no start picture.
pub fn remove(page: Store<Page>) {
    page.form().start_error().set(None);
    if let Some(start) = page.form().start().write().take() {
        Url::revoke_object_url(&start.url).ok();
    }
}

/// The first picture among what was dropped or pasted.
pub fn picture_in(transfer: &DataTransfer) -> Option<File> {
    let files = transfer.files()?;
    (0..files.length()).filter_map(|index| files.get(index)).find(|file| file.type_().starts_with("image/"))
}

/// The picture's RGBA bytes at `size`: scaled to cover it, cut in the middle, on white where it is transparent.
///
/// # Errors
/// When the browser cannot read the picture any more.
pub async fn pixels(start: &StartPicture, size: ImageSize) -> Result<ArrayBuffer, PageError> {
    let failed = || PageError::browser("cutting the start picture");
    let bitmap = decode(&start.file).await?;
    let (_, context) = new_canvas(size.width(), size.height())?;
    // Without this, a photograph shrunk to a few hundred pixels flickers with aliases.
    Reflect::set(&context, &"imageSmoothingQuality".into(), &"high".into()).map_err(failed())?;
    let target = (f64::from(size.width()), f64::from(size.height()));
    let crop = cover((f64::from(bitmap.width()), f64::from(bitmap.height())), target);
    context
        .draw_image_with_image_bitmap_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            &bitmap,
            crop.x,
            crop.y,
            crop.width,
            crop.height,
            0.0,
            0.0,
            target.0,
            target.1,
        )
        .map_err(failed())?;
    bitmap.close();
    let data = context.get_image_data(0.0, 0.0, target.0, target.1).map_err(failed())?;
    let mut pixels = data.data().0;
    lay_on_white(&mut pixels);
    Ok(Uint8Array::from(pixels.as_slice()).buffer())
}

/// The picture as a PNG file of exactly those [`pixels`], for a server to start from the same ones.
///
/// # Errors
/// When the browser cannot read the picture any more.
pub async fn png(start: &StartPicture, size: ImageSize) -> Result<Vec<u8>, PageError> {
    let pixels = pixels(start, size).await?;
    let pixels = Uint8ClampedArray::new(&pixels).to_vec();
    let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), size.width(), size.height())
        .map_err(PageError::browser("cutting the start picture"))?;
    let (canvas, context) = new_canvas(size.width(), size.height())?;
    context.put_image_data(&data, 0.0, 0.0).map_err(PageError::browser("cutting the start picture"))?;
    png_of(&canvas).await
}

/// A PNG file of that size with nothing on it, to ask what a start picture would cost.
///
/// # Errors
/// When the browser has no more canvases.
pub async fn blank_png(size: ImageSize) -> Result<Vec<u8>, PageError> {
    let (canvas, _) = new_canvas(size.width(), size.height())?;
    png_of(&canvas).await
}

async fn png_of(canvas: &HtmlCanvasElement) -> Result<Vec<u8>, PageError> {
    let failed = || PageError::browser("writing the start picture");
    let promise = Promise::new(&mut |resolve, reject| {
        if let Err(error) = canvas.to_blob(&resolve) {
            reject.call1(&JsValue::UNDEFINED, &error).ok();
        }
    });
    let blob: Blob = JsFuture::from(promise).await.and_then(JsCast::dyn_into).map_err(failed())?;
    let buffer = JsFuture::from(blob.array_buffer()).await.map_err(failed())?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// A part of a picture.
#[derive(Debug, PartialEq)]
struct Crop {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The largest part in the middle of a picture of size `from` that has the shape of `to`.
fn cover(from: (f64, f64), to: (f64, f64)) -> Crop {
    let scale = (from.0 / to.0).min(from.1 / to.1);
    let (width, height) = (to.0 * scale, to.1 * scale);
    Crop { x: (from.0 - width) / 2.0, y: (from.1 - height) / 2.0, width, height }
}

fn lay_on_white(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(4) {
        let alpha = u32::from(pixel[3]);
        for channel in &mut pixel[..3] {
            *channel = ((u32::from(*channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
        pixel[3] = 255;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_picture_covers_the_size() {
        assert_eq!(cover((400.0, 200.0), (128.0, 128.0)), Crop { x: 100.0, y: 0.0, width: 200.0, height: 200.0 });
        assert_eq!(cover((100.0, 300.0), (256.0, 128.0)), Crop { x: 0.0, y: 125.0, width: 100.0, height: 50.0 });
    }

    #[test]
    fn transparent_pixels_become_white_and_opaque_ones_stay() {
        let mut pixels = [10, 20, 30, 0, 10, 20, 30, 255, 0, 0, 0, 128];
        lay_on_white(&mut pixels);
        assert_eq!(pixels, [255, 255, 255, 255, 10, 20, 30, 255, 127, 127, 127, 255]);
    }
}
