//! More canvas around a picture.

use super::{Mask, fill};
use crate::picture::Picture;

/// Pixels that are added at each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outpaint {
    /// At the left.
    pub left: u32,
    /// At the right.
    pub right: u32,
    /// Above.
    pub top: u32,
    /// Below.
    pub bottom: u32,
    /// Pixels of the old picture, at sides that grow, that are repainted too, so that old and new fit.
    pub overlap: u32,
}

impl Outpaint {
    /// Whether anything is added.
    pub const fn is_empty(&self) -> bool {
        self.left == 0 && self.right == 0 && self.top == 0 && self.bottom == 0
    }
}

/// The larger picture, its new parts filled with colours of the old one's edges, and the mask of what is to be drawn.
pub fn outpaint(picture: &Picture, sides: &Outpaint) -> (Picture, Mask) {
    let Outpaint { left, right, top, bottom, overlap } = *sides;
    let (width, height) = (picture.width + left + right, picture.height + top + bottom);
    let mut rgb = Vec::with_capacity(3 * width as usize * height as usize);
    let (mut is_new, mut values) = (Vec::new(), Vec::new());
    let inner = |at: u32, before: u32, length: u32, after: u32| {
        let start = if before > 0 { before + overlap } else { 0 };
        let end = if after > 0 { (before + length).saturating_sub(overlap) } else { before + length };
        (start..end).contains(&at)
    };
    for y in 0..height {
        let row = y.clamp(top, top + picture.height - 1) - top;
        for x in 0..width {
            let column = x.clamp(left, left + picture.width - 1) - left;
            let at = 3 * (row as usize * picture.width as usize + column as usize);
            rgb.extend(&picture.rgb[at..at + 3]);
            let is_old = x == column + left && y == row + top;
            is_new.push(if is_old { 0 } else { 255 });
            let is_kept = inner(x, left, picture.width, right) && inner(y, top, picture.height, bottom);
            values.push(if is_kept { 0 } else { 255 });
        }
    }
    let canvas = Picture { width, height, rgb };
    let canvas = fill(&canvas, &Mask { width, height, values: is_new });
    (canvas, Mask { width, height, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_picture_lies_where_it_should_and_only_the_new_part_is_masked() {
        let picture = Picture { width: 6, height: 4, rgb: (0..72).map(|at| (at * 3) as u8).collect() };
        let sides = Outpaint { left: 3, bottom: 5, overlap: 1, ..Outpaint::default() };
        let (canvas, mask) = outpaint(&picture, &sides);
        assert_eq!((canvas.width, canvas.height, mask.width, mask.height), (9, 9, 9, 9));
        for y in 0..9 {
            for x in 0..9 {
                let at = y * 9 + x;
                assert_eq!(mask.values[at] == 0, x >= 4 && y < 3, "{x} {y}");
                if x >= 3 && y < 4 {
                    let old = 3 * (y * 6 + x - 3);
                    assert_eq!(canvas.rgb[3 * at..3 * at + 3], picture.rgb[old..old + 3]);
                }
            }
        }
    }
}
