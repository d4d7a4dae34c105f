//! From pixels to the files that are handed in.
//!
//! Enlarging is resampling (Catmull-Rom), the same on every node; networks that invent detail come later.

use super::inputs::MAX_SIDE;
use crate::init_image;
use api::node::Made;
use diffusion::picture::Picture;
use image::{DynamicImage, RgbImage, imageops::FilterType};
use weights::sha256_hex;

/// A file to hand in.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What the edge is told of it.
    pub made: Made,
    /// The PNG.
    pub png: Vec<u8>,
}

/// Refuses what would become larger than a result may be.
///
/// # Errors
/// A sentence for whoever asked.
pub fn check_enlarged(width: u32, height: u32, factor: u32) -> Result<(), String> {
    let fits = |side: u32| side.checked_mul(factor).is_some_and(|side| side <= MAX_SIDE);
    if factor > 0 && fits(width) && fits(height) {
        return Ok(());
    }
    Err(format!(
        "{width} x {height} pixels {factor} times as wide and as high are beyond {MAX_SIDE} x {MAX_SIDE}; ask for a smaller factor or send a smaller picture"
    ))
}

/// The picture `factor` times as wide and as high.
pub fn enlarged(picture: Picture, factor: u32) -> Picture {
    if factor <= 1 {
        return picture;
    }
    let Picture { width, height, rgb } = picture;
    let image = RgbImage::from_raw(width, height, rgb).expect("a picture has three bytes for each pixel");
    let image = DynamicImage::from(image).resize_exact(width * factor, height * factor, FilterType::CatmullRom);
    init_image::picture(image.into_rgb8())
}

/// The picture as a file, with `parameters` in it.
///
/// # Errors
/// A sentence for its owner.
pub fn finished(picture: &Picture, seed: u64, parameters: &str) -> Result<Finished, String> {
    let png = picture.to_png(parameters).map_err(|_| "the picture could not be written as PNG".to_owned())?;
    let made = Made { sha256: sha256_hex(&png), seed, width: picture.width, height: picture.height, is_flagged: false };
    Ok(Finished { made, png })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_is_bounded() {
        assert!(check_enlarged(1024, 2048, 2).is_ok());
        assert!(check_enlarged(1025, 64, 4).is_err());
        assert!(check_enlarged(64, u32::MAX, 2).is_err());
        assert!(check_enlarged(64, 64, 0).is_err());
    }

    #[test]
    fn one_colour_stays_what_it_was() {
        let picture = Picture { width: 4, height: 2, rgb: [10, 200, 30].repeat(8) };
        let large = enlarged(picture.clone(), 3);
        assert_eq!((large.width, large.height), (12, 6));
        assert!(large.rgb.chunks_exact(3).all(|pixel| pixel == [10, 200, 30]));
        assert_eq!(enlarged(picture.clone(), 1), picture);
    }

    #[test]
    fn the_hash_is_the_files() {
        let picture = Picture { width: 1, height: 1, rgb: vec![1, 2, 3] };
        let Finished { made, png } = finished(&picture, 7, "a red apple").unwrap();
        assert_eq!((made.sha256, made.seed, made.width), (sha256_hex(&png), 7, 1));
    }
}
