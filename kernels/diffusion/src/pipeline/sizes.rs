//! What Stable Diffusion XL is told of a picture's sizes (Podell et al., 2023, section 2.2).

use serde::Deserialize;
use spec::ImageSize;

/// Sizes that a picture is said to have; other models are told nothing of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SizeConditioning {
    /// Width and height before it was scaled and cropped; its own where absent.
    pub original: Option<(u32, u32)>,
    /// Left and top of the crop.
    pub crop: (u32, u32),
    /// Width and height after it; its own where absent.
    pub target: Option<(u32, u32)>,
    /// The same for the negative prompt: original size, crop and target; those of the prompt where absent.
    pub negative: Option<NegativeSizes>,
}

/// Sizes for the negative prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NegativeSizes {
    /// As in [`SizeConditioning`].
    pub original: Option<(u32, u32)>,
    /// As in [`SizeConditioning`].
    pub crop: (u32, u32),
    /// As in [`SizeConditioning`].
    pub target: Option<(u32, u32)>,
}

impl SizeConditioning {
    /// The numbers for the prompt.
    pub fn positive(&self, size: ImageSize) -> [f64; 6] {
        numbers(self.original, self.crop, self.target, size)
    }

    /// The numbers for the negative prompt.
    pub fn negative(&self, size: ImageSize) -> [f64; 6] {
        match self.negative {
            Some(NegativeSizes { original, crop, target }) => numbers(original, crop, target, size),
            None => self.positive(size),
        }
    }
}

/// The reference's order: each pair down before across.
fn numbers(
    original: Option<(u32, u32)>,
    (left, top): (u32, u32),
    target: Option<(u32, u32)>,
    size: ImageSize,
) -> [f64; 6] {
    let own = (size.width(), size.height());
    let ((original_width, original_height), (width, height)) = (original.unwrap_or(own), target.unwrap_or(own));
    [original_height, original_width, top, left, height, width].map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers are exact")]
    fn sizes_are_told_down_before_across() {
        let size = ImageSize::new(64, 128).unwrap();
        let plain = SizeConditioning::default();
        assert_eq!(plain.positive(size), [128.0, 64.0, 0.0, 0.0, 128.0, 64.0]);
        assert_eq!(plain.negative(size), plain.positive(size));
        let told = SizeConditioning { original: Some((10, 20)), crop: (3, 4), target: Some((30, 40)), negative: None };
        assert_eq!(told.positive(size), [20.0, 10.0, 4.0, 3.0, 40.0, 30.0]);
        let negative = Some(NegativeSizes { original: Some((1, 2)), ..NegativeSizes::default() });
        assert_eq!(SizeConditioning { negative, ..told }.negative(size), [2.0, 1.0, 0.0, 0.0, 128.0, 64.0]);
    }
}
