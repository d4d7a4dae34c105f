//! The canvas that a run develops on: one picture, or a contact sheet of several.

use crate::error::PageError;
use js_sys::{ArrayBuffer, Uint8ClampedArray};
use leptos::{html, prelude::*};
use protocol::ImageInfo;
use wasm_bindgen::{Clamped, JsCast as _};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, CanvasRenderingContext2d, HtmlCanvasElement, ImageBitmap, ImageData};

/// Longest side of the canvas; more is beyond what phones give a page.
const MAX_SIDE: u32 = 2048;
/// Up to this many pixels across, sharp pixels look better than a blur.
const PIXELATED_SIDE: u32 = 128;

/// How pictures lie on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sheet {
    /// Pictures in a row.
    pub columns: u32,
    /// Rows of pictures.
    pub rows: u32,
    /// Width and height of each in canvas pixels.
    pub cell: (u32, u32),
}

impl Sheet {
    /// The squarest sheet for `pictures` of a size, shrunk when it would be too large.
    pub fn new(pictures: u32, (width, height): (u32, u32)) -> Self {
        let pictures = pictures.max(1);
        let columns = (1..=pictures).find(|columns| columns * columns >= pictures).unwrap_or(1);
        let rows = pictures.div_ceil(columns);
        let longest = (columns * width).max(rows * height).max(1);
        let shrink = |side: u32| if longest > MAX_SIDE { (side * MAX_SIDE / longest).max(1) } else { side };
        Self { columns, rows, cell: (shrink(width), shrink(height)) }
    }

    fn corner(&self, index: u32) -> (f64, f64) {
        (f64::from(index % self.columns * self.cell.0), f64::from(index / self.columns * self.cell.1))
    }
}

/// The stage's canvas, and what it shows.
#[derive(Debug, Clone, Copy)]
pub struct Plate {
    /// The canvas, once the stage is on the page.
    pub canvas: NodeRef<html::Canvas>,
    state: StoredValue<State>,
}

#[derive(Debug, Clone)]
struct State {
    sheet: Sheet,
    // Decoding a file takes a moment, in which another run may have begun.
    exposure: u32,
    is_finished: Vec<bool>,
}

impl Plate {
    /// An empty plate.
    pub fn new() -> Self {
        let state = State { sheet: Sheet::new(1, (1, 1)), exposure: 0, is_finished: vec![false] };
        Self { canvas: NodeRef::new(), state: StoredValue::new(state) }
    }

    /// Lays out a sheet for a run and clears it.
    pub fn begin(self, pictures: u32, size: (u32, u32)) {
        let sheet = Sheet::new(pictures, size);
        self.state.update_value(|state| {
            state.sheet = sheet;
            state.exposure += 1;
            state.is_finished = vec![false; pictures as usize];
        });
        if let Some(canvas) = self.canvas.get_untracked() {
            canvas.set_width(sheet.columns * sheet.cell.0);
            canvas.set_height(sheet.rows * sheet.cell.1);
            let is_pixelated = sheet.cell.0.max(sheet.cell.1) <= PIXELATED_SIDE;
            canvas.class_list().toggle_with_force("pixelated", is_pixelated).ok();
        }
    }

    /// Shows what picture `index` looks like so far; `bytes` are its RGBA pixels.
    ///
    /// # Errors
    /// When the bytes are not that many pixels, or the canvas is refused.
    pub fn preview(self, index: u32, info: ImageInfo, bytes: &ArrayBuffer) -> Result<(), PageError> {
        if self.state.with_value(|state| state.is_finished.get(index as usize).copied().unwrap_or(true)) {
            return Ok(());
        }
        let pixels = Uint8ClampedArray::new(bytes).to_vec();
        let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), info.width, info.height)
            .map_err(PageError::browser("showing a preview"))?;
        // Pixels go through a canvas of their own, since only a drawn image is scaled to its cell.
        let (scratch, context) = new_canvas(info.width, info.height)?;
        context.put_image_data(&data, 0.0, 0.0).map_err(PageError::browser("showing a preview"))?;
        let Some(context) = self.context()? else { return Ok(()) };
        let Sheet { cell: (width, height), .. } = self.state.with_value(|state| state.sheet);
        let (x, y) = self.state.with_value(|state| state.sheet.corner(index));
        context
            .draw_image_with_html_canvas_element_and_dw_and_dh(&scratch, x, y, f64::from(width), f64::from(height))
            .map_err(PageError::browser("showing a preview"))
    }

    /// Shows the finished picture `index`.
    ///
    /// # Errors
    /// When the file is not a picture, or the canvas is refused.
    pub async fn image(self, index: u32, file: &Blob) -> Result<(), PageError> {
        self.draw_file(index, file, true).await
    }

    /// Shows what picture `index` looks like so far, from a file.
    ///
    /// # Errors
    /// When the file is not a picture, or the canvas is refused.
    pub async fn preview_file(self, index: u32, file: &Blob) -> Result<(), PageError> {
        self.draw_file(index, file, false).await
    }

    async fn draw_file(self, index: u32, file: &Blob, is_finished: bool) -> Result<(), PageError> {
        let exposure = self.state.with_value(|state| state.exposure);
        let bitmap = decode(file).await?;
        let is_over = self.state.try_update_value(|state| {
            let cell = state.is_finished.get_mut(index as usize).filter(|_| state.exposure == exposure)?;
            // A preview that was decoded late does not cover the picture.
            let is_late = *cell && !is_finished;
            *cell |= is_finished;
            (!is_late).then_some(())
        });
        if is_over.flatten().is_none() {
            return Ok(());
        }
        let Some(context) = self.context()? else { return Ok(()) };
        let Sheet { cell: (width, height), .. } = self.state.with_value(|state| state.sheet);
        let (x, y) = self.state.with_value(|state| state.sheet.corner(index));
        context
            .draw_image_with_image_bitmap_and_dw_and_dh(&bitmap, x, y, f64::from(width), f64::from(height))
            .map_err(PageError::browser("showing the picture"))
    }

    fn context(self) -> Result<Option<CanvasRenderingContext2d>, PageError> {
        self.canvas.get_untracked().map(|canvas| context(&canvas)).transpose()
    }
}

/// Decodes a file with whatever the browser knows.
///
/// # Errors
/// [`PageError::NotAPicture`] when it knows nothing of the kind.
pub async fn decode(file: &Blob) -> Result<ImageBitmap, PageError> {
    let promise = window().create_image_bitmap_with_blob(file).map_err(PageError::browser("reading the picture"))?;
    JsFuture::from(promise).await.ok().and_then(|value| value.dyn_into().ok()).ok_or(PageError::NotAPicture)
}

/// A canvas that is not on the page, and its context.
///
/// # Errors
/// When the browser has no more canvases.
pub fn new_canvas(width: u32, height: u32) -> Result<(HtmlCanvasElement, CanvasRenderingContext2d), PageError> {
    let canvas: HtmlCanvasElement =
        document().create_element("canvas").map_err(PageError::browser("making a canvas"))?.unchecked_into();
    canvas.set_width(width);
    canvas.set_height(height);
    let context = context(&canvas)?;
    Ok((canvas, context))
}

fn context(canvas: &HtmlCanvasElement) -> Result<CanvasRenderingContext2d, PageError> {
    let context = canvas.get_context("2d").map_err(PageError::browser("making a canvas"))?;
    context.and_then(|context| context.dyn_into().ok()).ok_or_else(|| PageError::Browser {
        action: "making a canvas",
        reason: "the browser has no memory for it".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_are_as_square_as_can_be_and_never_too_large() {
        assert_eq!(Sheet::new(1, (128, 64)), Sheet { columns: 1, rows: 1, cell: (128, 64) });
        let sheet = Sheet::new(5, (128, 128));
        assert_eq!((sheet.columns, sheet.rows), (3, 2));
        assert_eq!(sheet.corner(4), (128.0, 128.0));
        let sheet = Sheet::new(16, (2048, 1024));
        assert_eq!(sheet, Sheet { columns: 4, rows: 4, cell: (512, 256) });
    }
}
