//! Drawing an object on a background, from sprites that were taken from the font once.

use super::{COLOURS, OBJECTS};
use crate::TrainError;
use diffusion::picture::Picture;
use image::{RgbaImage, imageops};
use std::{io::Cursor, path::Path};

/// Side of a picture in pixels.
pub const IMAGE_SIDE: u32 = 64;
const SPRITE_SIDE: u32 = 96;
const COLUMNS: u32 = 6;
/// Pixels between an object and the side that it is at. With it, the corners of a size are whole cells of the latents apart, so
/// that an object's latents are the same wherever it is drawn.
const MARGIN: u32 = 2;

/// How large an object is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// 28 pixels.
    Small,
    /// 44 pixels.
    Large,
}

impl Scale {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// Pixels along a side.
    pub const fn side(self) -> u32 {
        match self {
            Self::Small => 28,
            Self::Large => 44,
        }
    }
}

/// Where an object is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// In the middle.
    Centre,
    /// Left of it.
    Left,
    /// Right of it.
    Right,
    /// Above it.
    Top,
    /// Below it.
    Bottom,
}

impl Position {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Centre, Self::Left, Self::Right, Self::Top, Self::Bottom];

    /// Left upper corner of an object.
    pub fn corner(self, scale: Scale) -> (u32, u32) {
        let free = IMAGE_SIDE - scale.side();
        let (middle, near, far) = (free / 2, MARGIN, free - MARGIN);
        match self {
            Self::Centre => (middle, middle),
            Self::Left => (near, middle),
            Self::Right => (far, middle),
            Self::Top => (middle, near),
            Self::Bottom => (middle, far),
        }
    }
}

/// Every object with its transparency, at both sizes.
pub struct Sprites {
    scaled: Vec<[RgbaImage; 2]>,
}

impl Sprites {
    /// Reads the sheet that is part of the project.
    ///
    /// # Errors
    /// [`TrainError::Picture`] when the sheet cannot be decoded.
    pub fn load() -> Result<Self, TrainError> {
        let sheet = image::load_from_memory(include_bytes!("../../assets/objects.png"))?.into_rgba8();
        let scaled = (0..OBJECTS.len() as u32)
            .map(|index| {
                let (x, y) = (index % COLUMNS * SPRITE_SIDE, index / COLUMNS * SPRITE_SIDE);
                let sprite = premultiplied(imageops::crop_imm(&sheet, x, y, SPRITE_SIDE, SPRITE_SIDE).to_image());
                Scale::ALL.map(|scale| {
                    imageops::resize(&sprite, scale.side(), scale.side(), imageops::FilterType::CatmullRom)
                })
            })
            .collect();
        Ok(Self { scaled })
    }

    /// An object's pixels with colours multiplied by their opacity.
    pub fn get(&self, object: usize, scale: Scale) -> &RgbaImage {
        &self.scaled[object][usize::from(scale == Scale::Large)]
    }

    /// An object on a background.
    pub fn draw(&self, object: usize, colour: usize, scale: Scale, position: Position) -> Picture {
        self.draw_on(object, COLOURS[colour].rgb, scale, position)
    }

    /// An object on a background of any colour.
    pub fn draw_on(&self, object: usize, background: [u8; 3], scale: Scale, position: Position) -> Picture {
        let mut rgb = background.repeat((IMAGE_SIDE * IMAGE_SIDE) as usize);
        let (left, top) = position.corner(scale);
        for (x, y, pixel) in self.get(object, scale).enumerate_pixels() {
            let at = (((top + y) * IMAGE_SIDE + left + x) * 3) as usize;
            for channel in 0..3 {
                rgb[at + channel] = over(pixel[channel], pixel[3], background[channel]);
            }
        }
        Picture { width: IMAGE_SIDE, height: IMAGE_SIDE, rgb }
    }
}

/// A premultiplied value over a background.
pub(super) fn over(value: u8, alpha: u8, background: u8) -> u8 {
    let rest = u32::from(background) * (255 - u32::from(alpha)) / 255;
    (u32::from(value) + rest).min(255) as u8
}

fn premultiplied(mut sprite: RgbaImage) -> RgbaImage {
    for pixel in sprite.pixels_mut() {
        for channel in 0..3 {
            pixel[channel] = (u32::from(pixel[channel]) * u32::from(pixel[3]) / 255) as u8;
        }
    }
    sprite
}

/// Takes the objects' bitmaps out of an emoji font and writes them as one sheet.
///
/// # Errors
/// [`TrainError`] when the font cannot be read or lacks a glyph.
pub fn extract_sprites(font: &Path, sheet: &Path) -> Result<(), TrainError> {
    let bytes = std::fs::read(font).map_err(TrainError::file(font))?;
    let face = ttf_parser::Face::parse(&bytes, 0)?;
    let rows = (OBJECTS.len() as u32).div_ceil(COLUMNS);
    let mut canvas = RgbaImage::new(COLUMNS * SPRITE_SIDE, rows * SPRITE_SIDE);
    for (index, object) in (0u32..).zip(OBJECTS) {
        let raster = object
            .glyph
            .chars()
            .next()
            .and_then(|character| face.glyph_index(character))
            .and_then(|glyph| face.glyph_raster_image(glyph, 128))
            .ok_or(TrainError::Glyph(object.name))?;
        let glyph = image::ImageReader::with_format(Cursor::new(raster.data), image::ImageFormat::Png).decode()?;
        let fitted = fit(&glyph.into_rgba8());
        let (x, y) = (index % COLUMNS * SPRITE_SIDE, index / COLUMNS * SPRITE_SIDE);
        imageops::replace(&mut canvas, &fitted, i64::from(x), i64::from(y));
    }
    canvas.save(sheet)?;
    Ok(())
}

/// Crops to what is visible and scales it into a square, in the middle.
fn fit(glyph: &RgbaImage) -> RgbaImage {
    let visible: Vec<(u32, u32)> =
        glyph.enumerate_pixels().filter(|(_, _, pixel)| pixel[3] > 8).map(|(x, y, _)| (x, y)).collect();
    let bound = |values: &dyn Fn(&(u32, u32)) -> u32| {
        let low = visible.iter().map(values).min().unwrap_or(0);
        let high = visible.iter().map(values).max().unwrap_or(0);
        (low, high - low + 1)
    };
    let ((x, width), (y, height)) = (bound(&|point| point.0), bound(&|point| point.1));
    let cropped = premultiplied(imageops::crop_imm(glyph, x, y, width, height).to_image());
    let scale = f64::from(SPRITE_SIDE) / f64::from(width.max(height));
    let (width, height) = ((f64::from(width) * scale) as u32, (f64::from(height) * scale) as u32);
    let mut scaled = imageops::resize(&cropped, width.max(1), height.max(1), imageops::FilterType::CatmullRom);
    for pixel in scaled.pixels_mut() {
        for channel in 0..3 {
            // The sheet is an ordinary PNG: colours are divided by their opacity again.
            pixel[channel] = (u32::from(pixel[channel]) * 255 / u32::from(pixel[3]).max(1)).min(255) as u8;
        }
    }
    let mut square = RgbaImage::new(SPRITE_SIDE, SPRITE_SIDE);
    let (left, top) = ((SPRITE_SIDE - width) / 2, (SPRITE_SIDE - height) / 2);
    imageops::replace(&mut square, &scaled, i64::from(left), i64::from(top));
    square
}
