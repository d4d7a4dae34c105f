//! Where tiles lie, and how they become one picture.

use crate::picture::Picture;

/// Smallest side of a tile: less would be overlap alone.
const SMALLEST: usize = 16;
/// What tiles begin at multiples of, since a network that takes pixels as channels sees them in squares.
const ALIGNMENT: usize = 4;

/// The tiles of a large picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpscaleTiles {
    /// Pixels along a side of a tile, before it is enlarged.
    pub tile: usize,
    /// Pixels that two tiles have in common, at least. Its outer quarters are thrown away, since a tile knows nothing of what is
    /// beyond its edge; between them one tile goes over into the other.
    pub overlap: usize,
}

impl Default for UpscaleTiles {
    fn default() -> Self {
        Self { tile: 512, overlap: 32 }
    }
}

impl UpscaleTiles {
    /// The side, divisible by what every network asks of it.
    pub(super) fn side(self) -> usize {
        self.tile.max(SMALLEST) / ALIGNMENT * ALIGNMENT
    }

    /// The overlap, likewise.
    fn overlap(self) -> usize {
        self.overlap.next_multiple_of(ALIGNMENT).min(self.side() / 2 / ALIGNMENT * ALIGNMENT)
    }
}

/// Where tiles begin along a side; the last one's part beyond the picture is not there.
pub(super) fn positions(length: usize, tiles: UpscaleTiles) -> Vec<usize> {
    let (side, step) = (tiles.side(), tiles.side() - tiles.overlap());
    let last = length.saturating_sub(side).next_multiple_of(ALIGNMENT);
    (0..last).step_by(step).chain([last]).collect()
}

/// How much of pixel `at` of an overlap is the later tile's.
fn share(at: usize, overlap: usize) -> f32 {
    let (at, overlap) = (at as f32 + 0.5, overlap as f32);
    ((at - overlap / 4.0) / (overlap / 2.0)).clamp(0.0, 1.0)
}

/// The picture on its way: finished rows as bytes, the current row of tiles as numbers.
pub(super) struct Canvas {
    scale: usize,
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    /// Rows that are there, from the top.
    done: usize,
    /// The row of tiles: where it begins and how tall it is, interleaved RGB, and columns that are there.
    top: usize,
    tall: usize,
    row: Vec<f32>,
    filled: usize,
}

impl Canvas {
    /// For a picture of `[width, height]` that is enlarged.
    pub(super) fn new([width, height]: [usize; 2], scale: usize) -> Self {
        let (width, height) = (width * scale, height * scale);
        let rgb = vec![0; 3 * width * height];
        Self { scale, width, height, rgb, done: 0, top: 0, tall: 0, row: Vec::new(), filled: 0 }
    }

    /// A row of tiles that begins at `y` and is `tall`, in pixels before they are enlarged.
    pub(super) fn begin_row(&mut self, y: usize, tall: usize) {
        (self.top, self.tall, self.filled) = (y * self.scale, tall * self.scale, 0);
        self.row.clear();
        self.row.resize(3 * self.width * self.tall, 0.0);
    }

    /// A tile of three planes that begins at `x` and is `wide`, in pixels before it is enlarged.
    pub(super) fn put(&mut self, planes: &[f32], x: usize, wide: usize) {
        let (left, wide) = (x * self.scale, wide * self.scale);
        let overlap = self.filled.saturating_sub(left);
        let area = wide * self.tall;
        for y in 0..self.tall {
            for x in 0..wide {
                let share = if x < overlap { share(x, overlap) } else { 1.0 };
                let at = 3 * (y * self.width + left + x);
                for (channel, value) in self.row[at..at + 3].iter_mut().enumerate() {
                    let new = planes[channel * area + y * wide + x];
                    *value = if share >= 1.0 { new } else { *value + (new - *value) * share };
                }
            }
        }
        self.filled = left + wide;
    }

    /// Ends the row of tiles.
    pub(super) fn end_row(&mut self) {
        let overlap = self.done.saturating_sub(self.top);
        for y in 0..self.tall {
            let share = if y < overlap { share(y, overlap) } else { 1.0 };
            let row = &self.row[3 * y * self.width..3 * (y + 1) * self.width];
            let start = 3 * (self.top + y) * self.width;
            for (byte, value) in self.rgb[start..start + 3 * self.width].iter_mut().zip(row) {
                let old = f32::from(*byte);
                *byte = (old + (value * 255.0 - old) * share).round() as u8;
            }
        }
        self.done = self.top + self.tall;
    }

    /// The picture.
    pub(super) fn finish(self) -> Picture {
        Picture { width: self.width as u32, height: self.height as u32, rgb: self.rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_side_and_overlap() {
        let tiles = UpscaleTiles { tile: 32, overlap: 8 };
        assert_eq!(positions(32, tiles), [0]);
        assert_eq!(positions(20, tiles), [0]);
        assert_eq!(positions(33, tiles), [0, 4]);
        assert_eq!(positions(100, tiles), [0, 24, 48, 68]);
        for length in 1..300 {
            let positions = positions(length, tiles);
            assert!(positions.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 24), "{length}");
            assert!(positions[positions.len() - 1] + 32 >= length);
        }
    }

    #[test]
    fn tiles_of_any_size_give_a_finite_number_of_steps() {
        for (tile, overlap) in [(0, 0), (1, 100), (16, 16), (usize::MAX / 8, 3)] {
            assert!(positions(1000, UpscaleTiles { tile, overlap }).len() < 1000);
        }
    }

    #[test]
    fn the_outer_quarters_of_an_overlap_are_thrown_away() {
        let shares: Vec<f32> = (0..8).map(|at| share(at, 8)).collect();
        assert_eq!(shares, [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0]);
    }

    #[test]
    fn equal_tiles_leave_no_seam() {
        let mut canvas = Canvas::new([48, 40], 2);
        let value = |x: usize, y: usize| ((x * 7 + y * 3) % 256) as f32 / 255.0;
        for y in [0, 8] {
            canvas.begin_row(y, 32);
            for x in [0, 16] {
                let pixels = (0..64).flat_map(|row| (0..64).map(move |column| value(2 * x + column, 2 * y + row)));
                let plane: Vec<f32> = pixels.collect();
                canvas.put(&plane.repeat(3), x, 32);
            }
            canvas.end_row();
        }
        let picture = canvas.finish();
        assert_eq!((picture.width, picture.height), (96, 80));
        for (at, pixel) in picture.rgb.chunks_exact(3).enumerate() {
            let expected = ((at % 96) * 7 + (at / 96) * 3) % 256;
            assert_eq!(pixel, [expected as u8; 3], "{at}");
        }
    }
}
