//! A part of a picture that is drawn alone, larger than it lies there.

use super::Mask;
use crate::{picture::Picture, resample::Filter};

/// A rectangle of pixels within a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Pixels to its left.
    pub left: u32,
    /// Pixels above it.
    pub top: u32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Region {
    /// What is drawn when only the masked part is: the mask's bounds with `padding` around them, made wider or higher until its
    /// sides relate as those of `target`, within a picture of `sides`. `None` where nothing is masked.
    pub fn around(mask: &Mask, padding: u32, target: [u32; 2]) -> Option<Self> {
        let bounds = mask.bounds()?;
        let across = Span::padded(bounds.left, bounds.width, padding, mask.width);
        let down = Span::padded(bounds.top, bounds.height, padding, mask.height);
        let wanted = f64::from(target[0]) / f64::from(target[1]);
        let (across, down) = if across.length() as f64 / down.length() as f64 > wanted {
            (across, down.grown((across.length() as f64 / wanted) as i64, mask.height))
        } else {
            (across.grown((down.length() as f64 * wanted) as i64, mask.width), down)
        };
        let (left, top) = (across.start as u32, down.start as u32);
        Some(Self { left, top, width: across.length() as u32, height: down.length() as u32 })
    }

    /// Its part of rows of `width` pixels.
    pub(super) fn cut(self, values: &[u8], channels: usize, width: u32) -> Vec<u8> {
        let start = |y: u32| (y as usize * width as usize + self.left as usize) * channels;
        let length = self.width as usize * channels;
        let rows = self.top..self.top + self.height;
        rows.flat_map(|y| values[start(y)..start(y) + length].iter().copied()).collect()
    }

    /// Its part of a picture.
    #[must_use]
    pub fn of(self, picture: &Picture) -> Picture {
        Picture { width: self.width, height: self.height, rgb: self.cut(&picture.rgb, 3, picture.width) }
    }

    /// The picture with what was drawn for the region, in whatever size, back in its place, as far as the picture's mask allows.
    #[must_use]
    pub fn put_back(self, picture: &Picture, mask: &Mask, drawn: &Picture) -> Picture {
        let drawn = drawn.resized(self.width, self.height, Filter::Lanczos);
        let blended = mask.cut(self).blend(&self.of(picture), &drawn);
        let mut whole = picture.clone();
        let length = 3 * self.width as usize;
        for (y, row) in (self.top as usize..).zip(blended.rgb.chunks_exact(length)) {
            let start = 3 * (y * picture.width as usize + self.left as usize);
            whole.rgb[start..start + length].copy_from_slice(row);
        }
        whole
    }
}

/// From a pixel to before another.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: i64,
    end: i64,
}

impl Span {
    fn padded(start: u32, length: u32, padding: u32, limit: u32) -> Self {
        let (start, end) = (i64::from(start), i64::from(start) + i64::from(length));
        Self { start: (start - i64::from(padding)).max(0), end: (end + i64::from(padding)).min(i64::from(limit)) }
    }

    const fn length(self) -> i64 {
        self.end - self.start
    }

    /// As long as asked, or as the picture is, around the same middle as far as the picture's edges allow.
    fn grown(self, length: i64, limit: u32) -> Self {
        let limit = i64::from(limit);
        let more = length - self.length();
        let (start, end) = (self.start - more / 2, self.end + more - more / 2);
        let beyond = (end - limit).max(0);
        let (start, end) = (start - beyond, end - beyond);
        let before = (-start).max(0);
        Self { start: start + before, end: (end + before).min(limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(width: u32, height: u32, region: Region) -> Mask {
        let inside = |at: u32| {
            let (x, y) = (at % width, at / width);
            (region.left..region.left + region.width).contains(&x)
                && (region.top..region.top + region.height).contains(&y)
        };
        Mask { width, height, values: (0..width * height).map(|at| if inside(at) { 255 } else { 0 }).collect() }
    }

    #[test]
    fn a_region_has_the_target_s_shape_and_stays_inside() {
        let around = |left, top, width, height, padding, target| {
            let region = Region { left, top, width, height };
            let found = Region::around(&mask(200, 100, region), padding, target).unwrap();
            (found.left, found.top, found.width, found.height)
        };
        assert_eq!(around(50, 40, 20, 20, 0, [64, 64]), (50, 40, 20, 20));
        assert_eq!(around(50, 40, 20, 20, 4, [64, 64]), (46, 36, 28, 28));
        assert_eq!(around(50, 40, 40, 20, 0, [64, 64]), (50, 30, 40, 40));
        assert_eq!(around(50, 40, 20, 20, 0, [128, 64]), (40, 40, 40, 20));
        // At the edges it moves inwards, and where the picture is too small it is smaller.
        assert_eq!(around(0, 0, 40, 10, 0, [64, 64]), (0, 0, 40, 40));
        assert_eq!(around(180, 90, 20, 10, 0, [64, 64]), (180, 80, 20, 20));
        assert_eq!(around(10, 10, 180, 20, 0, [64, 64]), (10, 0, 180, 100));
    }

    #[test]
    fn what_lies_outside_the_mask_keeps_its_bytes() {
        let region = Region { left: 30, top: 20, width: 10, height: 12 };
        let mask = mask(64, 48, region).blurred(2.0);
        let picture = Picture { width: 64, height: 48, rgb: (0..64 * 48 * 3).map(|at| (at % 241) as u8).collect() };
        let around = Region::around(&mask, 6, [64, 64]).unwrap();
        let drawn = Picture { width: 64, height: 64, rgb: vec![255; 64 * 64 * 3] };
        let whole = around.put_back(&picture, &mask, &drawn);
        let mut changed = 0;
        for (at, (found, old)) in whole.rgb.iter().zip(&picture.rgb).enumerate() {
            match mask.values[at / 3] {
                0 => assert_eq!(found, old, "{at}"),
                255 => assert_eq!(*found, 255, "{at}"),
                _ => changed += usize::from(found != old),
            }
        }
        assert!(changed > 0);
        let nothing = Mask { values: vec![0; 64 * 48], ..mask };
        assert_eq!(Region::around(&nothing, 6, [64, 64]), None);
    }
}
