//! What is one line of arithmetic for a pixel.

use super::grey;
use crate::{picture::Picture, resample::Filter};

/// Darker than this, a pixel belongs to a scribble.
const DARK: u8 = 127;

/// Black for white.
#[must_use]
pub fn invert(picture: &Picture) -> Picture {
    Picture { rgb: picture.rgb.iter().map(|byte| 255 - byte).collect(), ..*picture }
}

/// White where any colour of a pixel is dark, as web UIs take a drawing on white paper.
#[must_use]
pub fn scribble(picture: &Picture) -> Picture {
    let is_dark = |pixel: &[u8]| pixel.iter().any(|&byte| byte < DARK);
    grey(picture.rgb.chunks_exact(3).map(|pixel| if is_dark(pixel) { 255 } else { 0 }), picture)
}

/// So many times fewer pixels along a side, by the mean of what they cover, and as many as before again.
#[must_use]
pub fn tile(picture: &Picture, factor: f64) -> Picture {
    let fewer = |side: u32| ((f64::from(side) / factor.max(1.0)) as u32).max(1);
    let small = picture.resized(fewer(picture.width), fewer(picture.height), Filter::Area);
    small.resized(picture.width, picture.height, Filter::Bilinear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scribbles_are_what_is_dark_in_any_colour() {
        let picture = Picture { width: 3, height: 1, rgb: vec![126, 200, 255, 127, 127, 127, 0, 0, 0] };
        assert_eq!(scribble(&picture).rgb, [[255; 3], [0; 3], [255; 3]].concat());
        assert_eq!(invert(&picture).rgb[..3], [129, 55, 0]);
    }

    #[test]
    fn tiles_keep_their_size_and_their_mean() {
        let picture = Picture { width: 8, height: 4, rgb: (0..96).map(|at| (at % 3 * 50 + at) as u8).collect() };
        let prepared = tile(&picture, 4.0);
        assert_eq!((prepared.width, prepared.height, prepared.rgb.len()), (8, 4, 96));
        assert_eq!(tile(&picture, 1.0), picture);
        assert_eq!(tile(&picture, 1e9).rgb[..3], tile(&picture, 1e9).rgb[93..]);
    }
}
