//! Which part of a picture is repainted.

use super::{Region, blur::gaussian_blur};
use crate::{
    picture::Picture,
    resample::{Filter, resize_bytes},
};
use burn::tensor::{Device, Tensor, TensorData};

/// A byte for each pixel: 255 where it is repainted, 0 where it stays, and shares of both between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `width * height` bytes, row by row.
    pub values: Vec<u8>,
}

impl Mask {
    /// The brightness of a picture.
    pub fn from_picture(picture: &Picture) -> Self {
        let grey = |pixel: &[u8]| {
            let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(pixel[channel]));
            ((red * 299 + green * 587 + blue * 114 + 500) / 1000) as u8
        };
        Self { width: picture.width, height: picture.height, values: picture.rgb.chunks_exact(3).map(grey).collect() }
    }

    const fn sides(&self) -> [usize; 2] {
        [self.width as usize, self.height as usize]
    }

    /// What stays is repainted, and the other way round.
    #[must_use]
    pub fn inverted(&self) -> Self {
        Self { values: self.values.iter().map(|value| 255 - value).collect(), ..*self }
    }

    /// Either wholly repainted, from half on, or not at all.
    #[must_use]
    pub fn binary(&self) -> Self {
        Self { values: self.values.iter().map(|&value| if value >= 128 { 255 } else { 0 }).collect(), ..*self }
    }

    /// Soft edges: blurred with a Gaussian of so many pixels' deviation.
    #[must_use]
    pub fn blurred(&self, sigma: f64) -> Self {
        if sigma <= 0.0 {
            return self.clone();
        }
        Self { values: gaussian_blur(&self.values, self.sides(), sigma), ..*self }
    }

    /// The mask in another size.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let values = resize_bytes(&self.values, 1, self.sides(), [width as usize, height as usize], Filter::Lanczos);
        Self { width, height, values }
    }

    /// The smallest region that holds everything that is not wholly kept; `None` where all of it is.
    pub fn bounds(&self) -> Option<Region> {
        let width = self.width as usize;
        let masked = |at: &usize| self.values[*at] > 0;
        let (first, last) = ((0..self.values.len()).find(masked)?, (0..self.values.len()).rfind(masked)?);
        let (top, bottom) = (first / width, last / width);
        let column = |x: &usize| (top..=bottom).any(|y| self.values[y * width + x] > 0);
        let (left, right) = ((0..width).find(column)?, (0..width).rfind(column)?);
        Some(Region {
            left: left as u32,
            top: top as u32,
            width: (right - left + 1) as u32,
            height: (bottom - top + 1) as u32,
        })
    }

    /// A part of the mask.
    #[must_use]
    pub fn cut(&self, region: Region) -> Self {
        let values = region.cut(&self.values, 1, self.width);
        Self { width: region.width, height: region.height, values }
    }

    /// The mask as the pipeline takes it.
    ///
    /// # Shapes
    ///
    /// - output: `[1, 1, height, width]` in 0..1
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let [width, height] = self.sides();
        let values: Vec<f32> = self.values.iter().map(|&value| f32::from(value) / 255.0).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, height, width]), device)
    }

    /// The new picture where the mask is white, the old one where it is black, and shares of both between them; all of one size.
    #[must_use]
    pub fn blend(&self, old: &Picture, new: &Picture) -> Picture {
        let pixels = old.rgb.iter().zip(&new.rgb).enumerate();
        let blended = pixels.map(|(at, (&old, &new))| {
            let share = f32::from(self.values[at / 3]) / 255.0;
            (f32::from(old) + (f32::from(new) - f32::from(old)) * share).round() as u8
        });
        Picture { rgb: blended.collect(), ..*old }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> Mask {
        let inside = |at: usize| (4..8).contains(&(at % 16)) && (3..6).contains(&(at / 16));
        Mask { width: 16, height: 12, values: (0..192).map(|at| if inside(at) { 255 } else { 0 }).collect() }
    }

    #[test]
    fn bounds_hold_everything_that_is_repainted_a_little() {
        assert_eq!(square().bounds(), Some(Region { left: 4, top: 3, width: 4, height: 3 }));
        let blurred = square().blurred(1.0);
        assert_eq!(blurred.bounds(), Some(Region { left: 1, top: 0, width: 10, height: 9 }));
        assert_eq!(Mask { values: vec![0; 192], ..square() }.bounds(), None);
        assert_eq!(square().inverted().bounds(), Some(Region { left: 0, top: 0, width: 16, height: 12 }));
    }

    #[test]
    fn black_keeps_every_byte_and_white_none() {
        let old = Picture { width: 16, height: 12, rgb: (0..576).map(|at| (at % 251) as u8).collect() };
        let new = Picture { rgb: vec![7; 576], ..old };
        let blended = square().blend(&old, &new);
        for (at, (found, kept)) in blended.rgb.iter().zip(&old.rgb).enumerate() {
            assert_eq!(*found, if square().values[at / 3] == 0 { *kept } else { 7 });
        }
    }
}
