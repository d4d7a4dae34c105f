//! What the kernels do with packed words.

use super::{BLOCK, Format, TILE};
use cubecl::prelude::*;

/// What a workgroup turns into numbers at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stage {
    /// How the numbers are stored.
    pub format: Format,
    /// Tiles side by side.
    pub tiles: usize,
    /// Columns, a multiple of four.
    pub columns: usize,
    /// Threads of the workgroup.
    pub threads: usize,
}

impl Stage {
    /// Whether anything is turned: single precision is read where it lies.
    pub const fn is_needed(self) -> bool {
        !matches!(self.format, Format::F32)
    }

    /// Vectors that the workgroup's memory holds, `[tile][column][2]`; one where nothing is turned, since none is no size.
    pub const fn vectors(self) -> usize {
        if self.is_needed() { self.tiles * self.columns * 2 } else { 1 }
    }

    /// Columns that a thread turns at a time.
    const fn columns_at_once(self) -> usize {
        match self.format {
            Format::F32 | Format::F16 => 1,
            Format::Q8 => 2,
            Format::Q4 => 4,
        }
    }
}

/// Fills the workgroup's memory with `stage.columns` columns from `first_column` on of the tiles from `first_tile` on.
///
/// Tiles beyond the last are the last again; columns beyond the last are zeros.
#[cube]
pub fn stage<F: Float>(
    words: &[Vector<u32, Const<4>>],
    staged: &mut Shared<[Vector<F, Const<4>>]>,
    first_tile: usize,
    tiles: usize,
    first_column: usize,
    columns: usize,
    #[comptime] stage: Stage,
) {
    let at_once = comptime![stage.columns_at_once()];
    let each = comptime![stage.columns / at_once];
    let total = comptime![stage.tiles * each];
    #[unroll]
    for round in 0..comptime![total.div_ceil(stage.threads)] {
        let item = UNIT_POS as usize + comptime![round * stage.threads];
        if item < total {
            let tile = item / each;
            let column = item % each * at_once;
            let from = min(first_tile + tile, tiles - 1);
            let to = (tile * comptime![stage.columns] + column) * 2;
            if first_column + column < columns {
                unpack(words, staged, from, first_column + column, to, columns, stage.format);
            } else {
                #[unroll]
                for vector in 0..comptime![2 * at_once] {
                    staged[to + vector] = Vector::cast_from(0.0f32.runtime());
                }
            }
        }
    }
}

/// Turns the columns that one vector of words holds.
#[cube]
fn unpack<F: Float>(
    words: &[Vector<u32, Const<4>>],
    staged: &mut Shared<[Vector<F, Const<4>>]>,
    tile: usize,
    column: usize,
    to: usize,
    columns: usize,
    #[comptime] format: Format,
) {
    match comptime![format] {
        Format::F32 | Format::F16 =>
        {
            #[unroll]
            for vector in 0..2usize {
                staged[to + vector] = Vector::cast_from(fetch(words, tile * columns + column, vector, format));
            }
        }
        Format::Q8 => {
            let block = (tile * (columns / BLOCK) + column / BLOCK) * 17;
            let scales = words[block];
            let quants = words[block + 1 + column % BLOCK / 2];
            #[unroll]
            for vector in 0..2usize {
                let scale = halves(scales, comptime![vector * 2]);
                #[unroll]
                for next in 0..2usize {
                    let four = bytes(quants.extract(comptime![next * 2 + vector]));
                    staged[to + next * 2 + vector] = Vector::cast_from(four * scale);
                }
            }
        }
        Format::Q4 => {
            let block = (tile * (columns / BLOCK) + column / BLOCK) * 9;
            let scales = words[block];
            let quants = words[block + 1 + column % BLOCK / 4];
            #[unroll]
            for vector in 0..2usize {
                let scale = halves(scales, comptime![vector * 2]);
                #[unroll]
                for next in 0..4usize {
                    let four = quants.extract(next) >> comptime![16 * vector as u32];
                    staged[to + next * 2 + vector] = Vector::cast_from(nibbles(four) * scale);
                }
            }
        }
    }
}

/// Adds what was summed in the products' precision to the sums, and begins anew.
#[cube]
pub fn add_parts<F: Float>(
    sums: &mut Array<Vector<f32, Const<4>>>,
    parts: &mut Array<Vector<F, Const<4>>>,
    #[comptime] count: usize,
) {
    #[unroll]
    for index in 0..count {
        sums[index] += Vector::cast_from(parts[index]);
        parts[index] = Vector::cast_from(0.0f32.runtime());
    }
}

/// Half of a tile's column, of formats without blocks; `at` counts columns from the first tile on.
#[cube]
pub fn fetch(
    words: &[Vector<u32, Const<4>>],
    at: usize,
    #[comptime] vector: usize,
    #[comptime] format: Format,
) -> Vector<f32, Const<4>> {
    if comptime![matches!(format, Format::F32)] {
        Vector::<f32, Const<4>>::reinterpret(words[at * 2 + vector])
    } else {
        halves(words[at], comptime![vector * 2])
    }
}

/// One value of the matrix, whose words are counted one by one here.
#[cube]
pub fn value(words: &[u32], row: usize, column: usize, columns: usize, #[comptime] format: Format) -> f32 {
    let tile = row / TILE;
    let lane = row % TILE;
    match comptime![format] {
        Format::F32 => f32::reinterpret(words[(tile * columns + column) * TILE + lane]),
        Format::F16 => half_of(words, (tile * columns + column) * 4, lane),
        Format::Q8 => {
            let block = (tile * (columns / BLOCK) + column / BLOCK) * 68;
            let word = words[block + 4 + column % BLOCK * 2 + lane / 4];
            let byte = (i32::reinterpret(word) << (24 - 8 * (lane % 4) as i32)) >> 24;
            f32::cast_from(byte) * half_of(words, block, lane)
        }
        Format::Q4 => {
            let block = (tile * (columns / BLOCK) + column / BLOCK) * 36;
            let nibble = (words[block + 4 + column % BLOCK] >> (4 * lane as u32)) & 15;
            (f32::cast_from(nibble) - 8.0) * half_of(words, block, lane)
        }
    }
}

/// One of eight numbers of half precision, which begin at a word.
#[cube]
fn half_of(words: &[u32], first: usize, lane: usize) -> f32 {
    half(words[first + lane / 2] >> (16 * (lane % 2) as u32))
}

/// Four numbers of half precision, of the word `first` and the next.
#[cube]
fn halves(words: Vector<u32, Const<4>>, #[comptime] first: usize) -> Vector<f32, Const<4>> {
    let mut result = Vector::<f32, Const<4>>::empty();
    #[unroll]
    for lane in 0..4usize {
        let word = words.extract(comptime![first + lane / 2]);
        result.insert(lane, half(word >> comptime![16 * (lane as u32 % 2)]));
    }
    result
}

/// The number of half precision in the lower half of a word; none is infinite.
///
/// Below the normal range it is made from an integer: a GPU may take the f32 of such bits for zero.
#[cube]
fn half(word: u32) -> f32 {
    let magnitude = word & 0x7FFF;
    let normal = f32::reinterpret((magnitude << 13) + 0x3800_0000);
    let tiny = f32::cast_from(magnitude) * 5.960_464_5e-8;
    let positive = select(magnitude < 0x400, tiny, normal);
    select(word & 0x8000 == 0, positive, -positive)
}

/// Four signed bytes.
#[cube]
fn bytes(word: u32) -> Vector<f32, Const<4>> {
    let mut result = Vector::<f32, Const<4>>::empty();
    let word = i32::reinterpret(word);
    #[unroll]
    for lane in 0..4usize {
        let byte = (word << comptime![24 - 8 * lane as i32]) >> 24;
        result.insert(lane, f32::cast_from(byte));
    }
    result
}

/// Four nibbles, less 8.
#[cube]
fn nibbles(word: u32) -> Vector<f32, Const<4>> {
    let mut result = Vector::<f32, Const<4>>::empty();
    #[unroll]
    for lane in 0..4usize {
        let nibble = (word >> comptime![4 * lane as u32]) & 15;
        result.insert(lane, f32::cast_from(nibble) - 8.0);
    }
    result
}

const _: () = assert!(TILE == 8, "a tile's column is two vectors of four");
