//! A picture to start from.

use anyhow::{Context as _, Result};
use diffusion::picture::Picture;
use image::{ImageReader, Limits, RgbImage, imageops::FilterType};
use spec::ImageSize;
use std::path::Path;

const MAX_SIDE: u32 = 16_384;
const MAX_BYTES: u64 = 1 << 30;

/// Decodes a PNG, JPEG or WebP, with limits that a hostile file cannot exceed; what its EXIF says is not looked at.
pub fn decode(path: &Path) -> Result<image::DynamicImage> {
    let shown = path.display();
    let mut reader = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .with_context(|| format!("could not read the picture {shown}"))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    reader.decode().with_context(|| format!("could not decode {shown} as PNG, JPEG or WebP"))
}

/// The picture in the asked size: scaled until it covers it, the rest cut off on both sides alike.
pub fn covering(path: &Path, size: ImageSize) -> Result<Picture> {
    Ok(filling(&decode(path)?, size))
}

/// A decoded picture in the asked size, as [`covering`] has it.
pub fn filling(image: &image::DynamicImage, size: ImageSize) -> Picture {
    picture(image.resize_to_fill(size.width(), size.height(), FilterType::Lanczos3).into_rgb8())
}

/// Decoded pixels as the pipeline takes them.
pub fn picture(image: RgbImage) -> Picture {
    let (width, height) = image.dimensions();
    Picture { width, height, rgb: image.into_raw() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_wide_picture_loses_its_sides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        let sides = |x| if (32..96).contains(&x) { Rgb([10, 200, 30]) } else { Rgb([255, 0, 0]) };
        RgbImage::from_fn(128, 64, |x, _| sides(x)).save(&path).unwrap();
        let picture = covering(&path, ImageSize::new(64, 64).unwrap()).unwrap();
        assert_eq!((picture.width, picture.height), (64, 64));
        assert!(picture.rgb.chunks_exact(3).all(|pixel| pixel == [10, 200, 30]));
    }
}
