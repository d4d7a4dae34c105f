//! The tile that every product is made of: eight rows by 32 columns of sums, kept in registers over a stretch of the depth.

use super::Level;
use crate::packed::TILE;
use std::arch::x86_64::{
    __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

/// Rows of a tile: outputs, keys, or values of a head.
pub const ROWS: usize = TILE;
/// Columns of a tile: pixels, tokens or queries.
pub const COLUMNS: usize = 32;
/// The sums of a tile, row by row.
pub type Sums = [f32; ROWS * COLUMNS];

/// Adds a product to a tile: `sums[m][n] += Σₖ a[k][m] b[k][n]`.
///
/// # Panics
///
/// When there are fewer values than `depth` needs.
pub fn accumulate(level: Level, a: &[f32], b: &[f32], sums: &mut Sums, depth: usize) {
    assert!(a.len() >= depth * ROWS && b.len() >= depth * COLUMNS, "a product of {depth}");
    // SAFETY: all that is read was counted above, and the level was detected.
    unsafe {
        match level {
            Level::V4 => v4(a.as_ptr(), b.as_ptr(), sums.as_mut_ptr(), depth),
            Level::V3 => {
                // What 16 registers hold: a quarter at a time.
                for row in [0, ROWS / 2] {
                    for column in [0, COLUMNS / 2] {
                        let sums = sums.as_mut_ptr().add(row * COLUMNS + column);
                        v3(a.as_ptr().add(row), b.as_ptr().add(column), sums, depth);
                    }
                }
            }
        }
    }
}

/// All of a tile.
#[target_feature(enable = "avx512f")]
unsafe fn v4(a: *const f32, b: *const f32, c: *mut f32, depth: usize) {
    const LANES: usize = 16;
    // SAFETY: the caller counted.
    unsafe {
        let mut sums: [[__m512; 2]; ROWS] = std::array::from_fn(|row| {
            [_mm512_loadu_ps(c.add(row * COLUMNS)), _mm512_loadu_ps(c.add(row * COLUMNS + LANES))]
        });
        for k in 0..depth {
            let right = [_mm512_loadu_ps(b.add(k * COLUMNS)), _mm512_loadu_ps(b.add(k * COLUMNS + LANES))];
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*a.add(k * ROWS + row));
                sums[0] = _mm512_fmadd_ps(factor, right[0], sums[0]);
                sums[1] = _mm512_fmadd_ps(factor, right[1], sums[1]);
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            _mm512_storeu_ps(c.add(row * COLUMNS), sums[0]);
            _mm512_storeu_ps(c.add(row * COLUMNS + LANES), sums[1]);
        }
    }
}

/// Four rows by 16 columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn v3(a: *const f32, b: *const f32, c: *mut f32, depth: usize) {
    const LANES: usize = 8;
    // SAFETY: the caller counted.
    unsafe {
        let mut sums: [[__m256; 2]; ROWS / 2] = std::array::from_fn(|row| {
            [_mm256_loadu_ps(c.add(row * COLUMNS)), _mm256_loadu_ps(c.add(row * COLUMNS + LANES))]
        });
        for k in 0..depth {
            let right = [_mm256_loadu_ps(b.add(k * COLUMNS)), _mm256_loadu_ps(b.add(k * COLUMNS + LANES))];
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = _mm256_set1_ps(*a.add(k * ROWS + row));
                sums[0] = _mm256_fmadd_ps(factor, right[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(factor, right[1], sums[1]);
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            _mm256_storeu_ps(c.add(row * COLUMNS), sums[0]);
            _mm256_storeu_ps(c.add(row * COLUMNS + LANES), sums[1]);
        }
    }
}
