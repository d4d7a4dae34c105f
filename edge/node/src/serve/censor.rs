//! What becomes of a picture that was flagged: the same size, and nothing of it to recognise.

use crate::init_image;
use api::request::Censor;
use diffusion::picture::Picture;
use image::{
    Rgb, RgbImage,
    imageops::{FilterType, fast_blur, resize, thumbnail},
};

/// The longer side holds this many squares, and this many standard deviations of the blur.
const ACROSS: u32 = 16;
/// Least pixels of a square and of the blur's standard deviation.
const LEAST: u32 = 8;
/// Where nothing of a picture is left.
const BACKGROUND: Rgb<u8> = Rgb([96; 3]);
/// Of the sentence on it.
const LETTERS: Rgb<u8> = Rgb([224; 3]);
/// Dots around the sentence, at least.
const MARGIN: u32 = 2;
/// The sentence; a number sign is a dot.
#[rustfmt::skip]
const SENTENCE: [&str; 15] = [
    " ###                      #    #      #              ",
    "#   #                          #                     ",
    "#      ###  # ##   ####  ##   ###    ##   #   #  ### ",
    " ###  #   # ##  # #       #    #      #   #   # #   #",
    "    # ##### #   #  ###    #    #      #   #   # #####",
    "#   # #     #   #     #   #    #  #   #    # #  #    ",
    " ###   #### #   # ####   ###    ##   ###    #    ####",
    "                                                     ",
    "                         #                 #         ",
    "                         #                 #         ",
    "       ###   ###  # ##  ###    ###  # ##  ###        ",
    "      #   # #   # ##  #  #    #   # ##  #  #         ",
    "      #     #   # #   #  #    ##### #   #  #         ",
    "      #   # #   # #   #  #  # #     #   #  #  #      ",
    "       ###   ###  #   #   ##   #### #   #   ##       ",
];

/// A picture of the same size that may be shown in its place.
pub fn censored(picture: &Picture, kind: Censor) -> Picture {
    let (width, height) = (picture.width, picture.height);
    let cell = width.max(height).div_ceil(ACROSS).max(LEAST);
    let image = match kind {
        Censor::Black => RgbImage::new(width, height),
        Censor::SensitiveContentText => sentence(width, height),
        // The mean of so few pixels could be one of them.
        Censor::Blur | Censor::Pixelate if width.max(height) < LEAST => plain(width, height),
        Censor::Blur => fast_blur(&pixels(picture), cell as f32),
        Censor::Pixelate => pixelated(&pixels(picture), cell),
    };
    init_image::picture(image)
}

fn pixels(picture: &Picture) -> RgbImage {
    let Picture { width, height, rgb } = picture;
    RgbImage::from_raw(*width, *height, rgb.clone()).expect("a picture has three bytes for each pixel")
}

fn plain(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, BACKGROUND)
}

/// Cells of their mean colour. Both sides are divided evenly, since what is left over at an edge could be a single pixel.
fn pixelated(image: &RgbImage, cell: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let means = thumbnail(image, (width / cell).max(1), (height / cell).max(1));
    resize(&means, width, height, FilterType::Nearest)
}

/// The sentence in the middle, as large as it can be in whole pixels a dot; nothing but grey where it has no room.
fn sentence(width: u32, height: u32) -> RgbImage {
    let (columns, rows) = (SENTENCE[0].len() as u32, SENTENCE.len() as u32);
    let dot = (width / (columns + 2 * MARGIN)).min(height / (rows + 2 * MARGIN));
    let mut image = plain(width, height);
    if dot == 0 {
        return image;
    }
    let (left, top) = ((width - columns * dot) / 2, (height - rows * dot) / 2);
    for (y, row) in (0..rows * dot).zip(SENTENCE.iter().flat_map(|row| (0..dot).map(move |_| row.as_bytes()))) {
        for (x, letter) in (0..columns * dot).zip(row.iter().flat_map(|letter| (0..dot).map(move |_| letter))) {
            if *letter == b'#' {
                image.put_pixel(left + x, top + y, LETTERS);
            }
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Censor; 4] = [Censor::Blur, Censor::SensitiveContentText, Censor::Pixelate, Censor::Black];
    const SIZES: [(u32, u32); 9] =
        [(1, 1), (3, 7), (8, 8), (1, 100), (9, 8), (64, 64), (512, 40), (513, 33), (301, 517)];
    const COLOURS: [Rgb<u8>; 2] = [Rgb([250, 240, 30]), Rgb([20, 10, 220])];

    fn checkerboard(width: u32, height: u32) -> Picture {
        init_image::picture(RgbImage::from_fn(width, height, |x, y| COLOURS[((x + y) % 2) as usize]))
    }

    /// Mean square of what separates neighbours in a row or a column.
    fn detail(picture: &Picture) -> f64 {
        let image = pixels(picture);
        let beside = |x: u32, y: u32, pixel: &Rgb<u8>| {
            let other = image.get_pixel_checked(x, y).unwrap_or(pixel);
            (0..3).map(|at| (f64::from(pixel[at]) - f64::from(other[at])).powi(2)).sum::<f64>()
        };
        let all = image.enumerate_pixels();
        let sum: f64 = all.map(|(x, y, pixel)| beside(x + 1, y, pixel) + beside(x, y + 1, pixel)).sum();
        sum / f64::from(image.width() * image.height())
    }

    #[test]
    fn nothing_is_left_of_a_picture_but_its_size() {
        for (width, height) in SIZES {
            let original = checkerboard(width, height);
            for kind in KINDS {
                let censored = censored(&original, kind);
                let shown = format!("{kind:?} of {width} x {height}");
                assert_eq!((censored.width, censored.height), (width, height), "{shown}");
                assert_eq!(censored.rgb.len(), original.rgb.len(), "{shown}");
                let is_same = |(a, b): (&[u8], &[u8])| a == b;
                let mut pairs = censored.rgb.chunks_exact(3).zip(original.rgb.chunks_exact(3));
                assert!(!pairs.any(is_same), "{shown} shows a pixel as it was");
                if matches!(kind, Censor::Blur | Censor::Pixelate) && width * height > 1 {
                    assert!(detail(&censored) < detail(&original) / 1000.0, "{shown}: {}", detail(&censored));
                }
            }
        }
    }

    #[test]
    fn a_shape_of_a_cell_is_not_seen_any_more() {
        // A bright stripe of half a cell.
        let stripe = |x| if (250..266).contains(&x) { Rgb([255; 3]) } else { Rgb([0; 3]) };
        let original = init_image::picture(RgbImage::from_fn(512, 512, |x, _| stripe(x)));
        for kind in [Censor::Blur, Censor::Pixelate] {
            let brightest = censored(&original, kind).rgb.into_iter().max().unwrap();
            assert!((1..128).contains(&brightest), "{kind:?}: {brightest}");
        }
    }

    #[test]
    fn squares_are_large_and_of_their_mean_colour() {
        let half = |x| if x < 256 { Rgb([200, 100, 0]) } else { Rgb([0, 50, 100]) };
        let original = init_image::picture(RgbImage::from_fn(512, 512, |x, y| {
            let Rgb(pixel) = half(x);
            Rgb(pixel.map(|value| value + (y % 2) as u8 * 20))
        }));
        let image = pixels(&censored(&original, Censor::Pixelate));
        for (x, y, pixel) in image.enumerate_pixels() {
            assert_eq!(*pixel, Rgb(half(x).0.map(|value| value + 10)), "{x}, {y}");
        }
    }

    #[test]
    fn what_is_black_is_black_and_the_sentence_is_legible() {
        let original = checkerboard(512, 300);
        assert!(censored(&original, Censor::Black).rgb.iter().all(|&byte| byte == 0));
        for (width, height, dot) in [(512, 300, 8), (64, 64, 1), (512, 40, 2), (4096, 4096, 71)] {
            let image = sentence(width, height);
            let dots = SENTENCE.concat().matches('#').count() as u32;
            let lit = image.pixels().filter(|pixel| **pixel == LETTERS).count() as u32;
            assert_eq!(lit, dots * dot * dot, "{width} x {height}");
        }
        for (width, height) in [(56, 100), (500, 18), (1, 1)] {
            assert_eq!(sentence(width, height), plain(width, height));
        }
    }
}
