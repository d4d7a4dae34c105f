//! The tile that every product is made of: up to four rows by eight columns of sums, kept in registers over the whole depth.
//!
//! No more than that: a browser's compiler moves all loads of a turn to its beginning, and sums and loads together must fit its
//! fifteen registers. Tiles of 5 x 8, 6 x 8 and 4 x 12 and loops unrolled by hand reached half of the speed (`tests/bench/RESULTS.md`).

#![expect(unsafe_code, reason = "the innermost loop of all products; the one safe way in compares all lengths first")]

use std::{hint::black_box, mem::size_of};

/// Rows of a whole tile.
pub const ROWS: usize = 4;
/// Columns of a tile.
pub const COLUMNS: usize = 8;

/// Adds products to a tile of `c`, whose rows begin `c_row` apart: `c[m][n] += Σₖ a[m][k] b[k][n]`.
///
/// Steps are in bytes, and a pointer's elements as far as they say must be there; the depth is at least 1. The columns of `b` and
/// of `c` lie one after another.
pub type Kernel = unsafe extern "C" fn(
    a: *const f32,
    a_row: usize,
    a_column: usize,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    depth: usize,
);

/// A kernel for each number of rows. Their places in the module's table of functions are what [`super::relaxed`] fills anew.
pub static KERNELS: [Kernel; ROWS] = [one, two, three, four];

/// The rows of a product: values with steps between rows and along the depth.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// From the first value.
    pub values: &'a [f32],
    /// Between rows.
    pub row: usize,
    /// Along the depth.
    pub column: usize,
}

/// Adds a product to `rows` x 8 sums, whose rows lie `c_row` apart; those of `b` lie `b_row` apart.
#[inline]
pub fn accumulate(a: Rows<'_>, b: (&[f32], usize), c: (&mut [f32], usize), rows: usize, depth: usize) {
    const SIZE: usize = size_of::<f32>();
    let ((b, b_row), (c, c_row)) = (b, c);
    if depth == 0 {
        return;
    }
    assert!((1..=ROWS).contains(&rows), "a tile of {rows} rows");
    assert!(a.values.len() > (rows - 1) * a.row + (depth - 1) * a.column, "the left side of a product");
    assert!(b.len() >= (depth - 1) * b_row + COLUMNS, "the right side of a product");
    assert!(c.len() >= (rows - 1) * c_row + COLUMNS, "the place for a product");
    // What the table has there may have been filled anew: not what the compiler sees.
    let kernel = black_box(KERNELS[rows - 1]);
    let (a_row, a_column) = (a.row * SIZE, a.column * SIZE);
    // SAFETY: all that is read and written was compared with the lengths above.
    unsafe { kernel(a.values.as_ptr(), a_row, a_column, b.as_ptr(), b_row * SIZE, c.as_mut_ptr(), c_row * SIZE, depth) }
}

#[cfg(target_arch = "wasm32")]
use std::arch::wasm32::{f32x4_add, f32x4_mul, v128_load, v128_load32_splat, v128_store};

/// Rows written out: a build for size leaves loops over them loops, and their sums in memory.
#[cfg(target_arch = "wasm32")]
macro_rules! kernel {
    ($name:ident: $($row:literal $low:ident $high:ident),+) => {
        #[target_feature(enable = "simd128")]
        unsafe extern "C" fn $name(
            mut a: *const f32, a_row: usize, a_column: usize, mut b: *const f32, b_row: usize,
            c: *mut f32, c_row: usize, mut depth: usize,
        ) {
            // SAFETY: the caller has what the type asks for.
            unsafe {
                $(
                    let place = c.byte_add($row * c_row);
                    let mut $low = v128_load(place.cast());
                    let mut $high = v128_load(place.add(4).cast());
                )+
                loop {
                    let (left, right) = (v128_load(b.cast()), v128_load(b.add(4).cast()));
                    $(
                        let factor = v128_load32_splat(a.byte_add($row * a_row).cast());
                        $low = f32x4_add($low, f32x4_mul(factor, left));
                        $high = f32x4_add($high, f32x4_mul(factor, right));
                    )+
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                    // Not beyond the last value.
                    a = a.byte_add(a_column);
                    b = b.byte_add(b_row);
                }
                $(
                    let place = c.byte_add($row * c_row);
                    v128_store(place.cast(), $low);
                    v128_store(place.add(4).cast(), $high);
                )+
            }
        }
    };
}

#[cfg(not(target_arch = "wasm32"))]
macro_rules! kernel {
    ($name:ident: $($row:literal $low:ident $high:ident),+) => {
        unsafe extern "C" fn $name(
            a: *const f32, a_row: usize, a_column: usize, b: *const f32, b_row: usize,
            c: *mut f32, c_row: usize, depth: usize,
        ) {
            const ROWS: usize = [$($row),+].len();
            // SAFETY: the caller has what the type asks for.
            unsafe {
                let mut sums: [[f32; COLUMNS]; ROWS] =
                    std::array::from_fn(|row| c.byte_add(row * c_row).cast::<[f32; COLUMNS]>().read_unaligned());
                for k in 0..depth {
                    let right = b.byte_add(k * b_row).cast::<[f32; COLUMNS]>().read_unaligned();
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let factor = a.byte_add(row * a_row + k * a_column).read_unaligned();
                        sums.iter_mut().zip(right).for_each(|(sum, right)| *sum += factor * right);
                    }
                }
                for (row, sums) in sums.into_iter().enumerate() {
                    c.byte_add(row * c_row).cast::<[f32; COLUMNS]>().write_unaligned(sums);
                }
            }
        }
    };
}

kernel!(one: 0 low0 high0);
kernel!(two: 0 low0 high0, 1 low1 high1);
kernel!(three: 0 low0 high0, 1 low1 high1, 2 low2 high2);
kernel!(four: 0 low0 high0, 1 low1 high1, 2 low2 high2, 3 low3 high3);
