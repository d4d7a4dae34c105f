//! Pictures that users send: decoded within limits, brought to the size of the run, and known by nothing but their pixels.

use crate::init_image;
use diffusion::picture::Picture;
use image::{DynamicImage, ImageError, ImageReader, Limits, imageops::FilterType};
use spec::ImageSize;
use std::io::Cursor;

/// Longest side of an input and of a result, in pixels.
pub const MAX_SIDE: u32 = 4096;
/// Most memory that decoding may take, in bytes.
const MAX_ALLOC: u64 = 80 << 20;

/// Decodes a PNG, JPEG or WebP.
///
/// # Errors
/// A sentence for whoever sent it.
pub fn decode(name: &str, bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOC);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|_| format!("the input `{name}` cannot be read"))?;
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        ImageError::Limits(_) => {
            format!("the input `{name}` is too large; send at most {MAX_SIDE} x {MAX_SIDE} pixels of 8 bits")
        }
        _ => format!("the input `{name}` is not a whole PNG, JPEG or WebP; send it anew in one of these formats"),
    })
}

/// The picture in the size of the run: scaled until it covers it, the rest cut off on both sides alike.
pub fn covering(image: &DynamicImage, size: ImageSize) -> Picture {
    init_image::picture(image.resize_to_fill(size.width(), size.height(), FilterType::Lanczos3).into_rgb8())
}

/// The mask in the size of the run, cut like its picture; grey where it was coloured, so that white counts and no hue does.
pub fn mask_covering(mask: &DynamicImage, size: ImageSize) -> Picture {
    let grey = DynamicImage::ImageLuma8(mask.to_luma8());
    init_image::picture(grey.resize_to_fill(size.width(), size.height(), FilterType::Triangle).into_rgb8())
}

/// The picture as it was sent, without whatever made it transparent.
pub fn whole(image: &DynamicImage) -> Picture {
    init_image::picture(image.to_rgb8())
}

/// The largest square in the middle; what is odd stays on the right and below.
pub fn square(image: &DynamicImage) -> Picture {
    let (width, height) = (image.width(), image.height());
    let side = width.min(height);
    init_image::picture(image.crop_imm((width - side) / 2, (height - side) / 2, side, side).into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Luma, Rgb, RgbImage};

    fn png(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn what_is_no_picture_is_refused_with_a_sentence() {
        let whole = png(&RgbImage::from_pixel(32, 32, Rgb([1, 2, 3])).into());
        for bytes in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n", &whole[..whole.len() / 2]] {
            let error = decode("image", bytes).unwrap_err();
            assert!(error.contains("`image`") && error.ends_with("formats"), "{error}");
        }
        assert!(decode("image", &whole).is_ok());
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
        let mut bytes = png(&RgbImage::new(8, 8).into());
        // Width of the IHDR, and its checksum.
        bytes[16..20].copy_from_slice(&100_000u32.to_be_bytes());
        let mut checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = decode("image", &bytes).unwrap_err();
        assert!(error.contains("at most 4096 x 4096"), "{error}");

        bytes[16..20].copy_from_slice(&4096u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&4096u32.to_be_bytes());
        // 16 bits of four channels: within the sides, beyond the memory.
        bytes[24..26].copy_from_slice(&[16, 6]);
        checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert!(decode("image", &bytes).unwrap_err().contains("too large"));
    }

    /// CRC-32 of ISO 3309, as PNG chunks have it.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    }

    #[test]
    fn a_mask_is_cut_like_its_picture() {
        let size = ImageSize::new(64, 64).unwrap();
        let mask = image::GrayImage::from_fn(128, 64, |x, _| Luma([if (32..64).contains(&x) { 255 } else { 0 }]));
        let mask = mask_covering(&mask.into(), size);
        for (at, pixel) in mask.rgb.chunks_exact(3).enumerate() {
            assert_eq!(pixel, if at % 64 < 32 { [255; 3] } else { [0; 3] }, "{at}");
        }
    }

    #[test]
    fn the_square_is_the_middle() {
        let sizes = [(1, 1, 0, 0), (5, 5, 0, 0), (1, 9, 0, 4), (7, 4, 1, 0), (7, 3, 2, 0), (6, 11, 0, 2), (8, 4, 2, 0)];
        for (width, height, left, top) in sizes {
            let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]));
            let square = square(&image.into());
            let side = width.min(height);
            assert_eq!((square.width, square.height), (side, side), "{width} x {height}");
            for (at, pixel) in (0..).zip(square.rgb.chunks_exact(3)) {
                let (x, y) = (left + at % side, top + at / side);
                assert_eq!(pixel, [x as u8, y as u8, 7], "{width} x {height}");
            }
            assert_eq!(square.rgb.len(), (side * side * 3) as usize);
        }
    }
}
