//! Weights as the kernels read them: quantised blocks stay quantised, whatever stands in the file.
//!
//! A matrix has a row for each output and a column for each input. Eight rows make a tile, and what a tile's threads need at one
//! column lies together: the eight values of a column are neighbours, and a block's eight scales stand before its 32 columns.
//! These are the very integers and scales of eight GGUF blocks, 34 or 18 bytes each, in another order: blocks as they lie in a file
//! begin at odd half words, and neighbouring rows are far apart. So a matrix takes as many bytes on the device as in the file, but
//! for the rows that fill the last tile.
//!
//! The kernels turn a stretch of columns into numbers once a workgroup, in its own memory; there is never more of it.

mod kernel;

pub(crate) use kernel::{Stage, add_parts, fetch, stage, value};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use cubecl::{
    client::Client,
    ir::{ElemType, FloatKind},
};

/// How the numbers of a packed matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// ggml's `Q8_0`: 32 signed bytes under a scale of half precision.
    Q8,
    /// ggml's `Q4_0`: 32 nibbles, less 8, under a scale of half precision.
    Q4,
}

/// What a packed matrix is multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Products {
    /// Single precision.
    #[default]
    Single,
    /// Half precision where the adapter computes in it, with a few products added up in it before they are added to sums of
    /// single precision; else single precision. Matrices that are stored in single precision stay with it.
    Half,
}

/// Rows of a tile.
pub const TILE: usize = 8;
/// Columns of a quantised block.
pub const BLOCK: usize = 32;

impl Format {
    /// Vectors of four words that hold some columns of a tile: `columns` is a multiple of [`Self::columns_at_once`].
    const fn vectors(self, columns: usize) -> usize {
        match self {
            Self::F32 => columns * 2,
            Self::F16 => columns,
            Self::Q8 => columns / BLOCK * 17,
            Self::Q4 => columns / BLOCK * 9,
        }
    }

    /// Columns that must come together.
    pub const fn columns_at_once(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8 | Self::Q4 => BLOCK,
        }
    }

    /// Bytes of one row's columns in the file.
    pub const fn row_bytes(self, columns: usize) -> usize {
        match self {
            Self::F32 => columns * 4,
            Self::F16 => columns * 2,
            Self::Q8 => columns / BLOCK * 34,
            Self::Q4 => columns / BLOCK * 18,
        }
    }
}

/// The order in which the rows of a matrix are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// As they come.
    Straight,
    /// Four rows of the first half, then the same four of the second half: a gated layer has both in one tile.
    Halves,
}

impl RowOrder {
    /// The row of the file that stands at a place.
    const fn row(self, place: usize, rows: usize) -> usize {
        match self {
            Self::Straight => place,
            Self::Halves => place / TILE * 4 + place % 4 + if place % TILE < 4 { 0 } else { rows / 2 },
        }
    }

    /// One number for each row, in the packed order: a bias.
    pub fn arranged(self, values: &[f32]) -> Vec<f32> {
        (0..values.len()).map(|place| values[self.row(place, values.len())]).collect()
    }
}

/// A matrix on a device that [`runs_on`](super::runs_on) names.
#[derive(Debug, Clone)]
pub struct PackedWeight {
    /// The words.
    pub(crate) words: Tensor<1, Int>,
    /// How the numbers are stored.
    pub format: Format,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// What it is multiplied in.
    pub products: Products,
}

/// A packed matrix without its words, as an operation takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// How the numbers are stored.
    pub format: Format,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// What it is multiplied in.
    pub products: Products,
}

impl Operand {
    /// Whether a device multiplies it in half precision.
    pub(crate) fn is_half(self, client: &Client) -> bool {
        let half = ElemType::Float(FloatKind::F16);
        self.products == Products::Half && self.format != Format::F32 && client.properties().supports_type(half)
    }
}

impl PackedWeight {
    fn of_words(words: Vec<i32>, format: Format, [rows, columns]: [usize; 2], device: &Device) -> Self {
        let count = words.len();
        // In a pool that gives each its own size, and does not round it up to a page that others could use.
        let words = device.memory_persistent_allocations(words, |words| {
            Tensor::from_data(TensorData::new(words, [count]), (device, DType::I32))
        });
        Self { words, format, rows, columns, products: Products::Single }
    }

    /// Packs a matrix from the bytes of a file, little-endian and row by row; GGUF's blocks run along the columns.
    ///
    /// # Panics
    ///
    /// When there are fewer bytes than `rows` x `columns` take, or the columns do not fill blocks.
    pub fn new(bytes: &[u8], format: Format, [rows, columns]: [usize; 2], order: RowOrder, device: &Device) -> Self {
        let words = packed(bytes, format, [rows, columns], order);
        Self::of_words(words, format, [rows, columns], device)
    }

    /// One without words, for a [rehearsal](crate::rehearse) alone.
    pub fn stand_in(format: Format, [rows, columns]: [usize; 2], device: &Device) -> Self {
        Self { words: Tensor::zeros([4], device), format, rows, columns, products: Products::Single }
    }

    /// Packs single-precision values.
    ///
    /// # Panics
    ///
    /// When there are fewer values than `rows` x `columns`.
    pub fn from_f32(values: &[f32], shape: [usize; 2], order: RowOrder, device: &Device) -> Self {
        let [rows, columns] = shape;
        assert!(values.len() >= rows * columns, "{} values of {rows} x {columns}", values.len());
        Self::from_rows(shape, order, device, |row, to| to.copy_from_slice(&values[row * columns..][..columns]))
    }

    /// Packs single-precision values that a function writes row by row, in any order and natively from several threads, so that
    /// the whole matrix lies nowhere but where it is packed.
    pub fn from_rows(
        [rows, columns]: [usize; 2],
        order: RowOrder,
        device: &Device,
        write_row: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let mut words = vec![0_i32; rows.div_ceil(TILE) * TILE * columns];
        let pack = |lanes: &mut Vec<f32>, (tile, words): (usize, &mut [i32])| {
            lanes.resize(TILE * columns, 0.0);
            let known = TILE.min(rows - tile * TILE);
            for (lane, values) in lanes.chunks_exact_mut(columns).take(known).enumerate() {
                write_row(order.row(tile * TILE + lane, rows), values);
            }
            for (lane, values) in lanes.chunks_exact(columns).take(known).enumerate() {
                words.iter_mut().skip(lane).step_by(TILE).zip(values).for_each(|(word, value)| {
                    *word = value.to_bits().cast_signed();
                });
            }
        };
        let tiles = (TILE * columns).max(1);
        #[cfg(target_arch = "x86_64")]
        {
            use rayon::prelude::*;
            words.par_chunks_exact_mut(tiles).enumerate().with_min_len(4).for_each_init(Vec::new, pack);
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let mut lanes = Vec::new();
            words.chunks_exact_mut(tiles).enumerate().for_each(|tile| pack(&mut lanes, tile));
        }
        Self::of_words(words, Format::F32, [rows, columns], device)
    }

    /// The same, multiplied in something else.
    #[must_use]
    pub fn with_products(self, products: Products) -> Self {
        Self { products, ..self }
    }

    /// What an operation is told of it beside the words.
    pub const fn operand(&self) -> Operand {
        Operand { format: self.format, rows: self.rows, columns: self.columns, products: self.products }
    }

    /// Bytes on the device.
    pub const fn bytes(&self) -> usize {
        self.rows.div_ceil(TILE) * self.format.vectors(self.columns) * 16
    }
}

/// The words of every tile, one tile after the other; rows that fill the last tile are zeros.
fn packed(bytes: &[u8], format: Format, [rows, columns]: [usize; 2], order: RowOrder) -> Vec<i32> {
    let row_bytes = format.row_bytes(columns);
    let tiles = rows.div_ceil(TILE);
    let mut words = Vec::with_capacity(tiles * format.vectors(columns) * 4);
    let nothing = vec![0; row_bytes];
    for tile in 0..tiles {
        let row = |lane: usize| {
            let place = tile * TILE + lane;
            let at = order.row(place, rows) * row_bytes;
            if place < rows { &bytes[at..at + row_bytes] } else { &nothing[..] }
        };
        let lanes: [&[u8]; TILE] = std::array::from_fn(row);
        match format {
            Format::F32 => words.extend((0..columns).flat_map(|column| {
                lanes.map(|lane| i32::from_le_bytes(std::array::from_fn(|byte| lane[column * 4 + byte])))
            })),
            Format::F16 => words.extend((0..columns).flat_map(|column| pairs(&lanes, column * 2))),
            Format::Q8 => (0..columns / BLOCK).for_each(|block| {
                words.extend(pairs(&lanes, block * 34));
                words.extend((0..BLOCK).flat_map(|column| {
                    let at = block * 34 + 2 + column;
                    [0, 4].map(|first| i32::from_le_bytes(std::array::from_fn(|lane| lanes[first + lane][at])))
                }));
            }),
            Format::Q4 => (0..columns / BLOCK).for_each(|block| {
                words.extend(pairs(&lanes, block * 18));
                words.extend((0..BLOCK).map(|column| nibbles(&lanes, block * 18 + 2, column)));
            }),
        }
    }
    words
}

/// The half-precision numbers of eight lanes at a byte, two to a word.
fn pairs(lanes: &[&[u8]; TILE], at: usize) -> [i32; TILE / 2] {
    std::array::from_fn(|pair| {
        let (low, high) = (lanes[pair * 2], lanes[pair * 2 + 1]);
        i32::from_le_bytes([low[at], low[at + 1], high[at], high[at + 1]])
    })
}

/// The nibbles of eight lanes at a column of a block whose quants begin at `at`, lane 0 lowest.
fn nibbles(lanes: &[&[u8]; TILE], at: usize, column: usize) -> i32 {
    let (byte, shift) = (at + column % 16, column / 16 * 4);
    let word = (0..TILE).fold(0, |word, lane| word | u32::from(lanes[lane][byte] >> shift & 15) << (lane * 4));
    word as i32
}
