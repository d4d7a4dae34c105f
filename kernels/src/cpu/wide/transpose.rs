//! Rows that become columns, eight by eight.

use super::leveled;

/// Both sides of a block.
const SIDE: usize = 8;

leveled! {
    /// Writes rows as columns: `to[column * to_row + row] = from[row * from_row + column]`.
    ///
    /// Where there are fewer than `rows` rows of `columns` values to read or to write, that is a panic.
    pub fn transpose(from: &[f32], from_row: usize, to: &mut [f32], to_row: usize, rows: usize, columns: usize) {
        let (whole_rows, whole_columns) = (rows / SIDE * SIDE, columns / SIDE * SIDE);
        for row in (0..whole_rows).step_by(SIDE) {
            for column in (0..whole_columns).step_by(SIDE) {
                let block: [[f32; SIDE]; SIDE] = std::array::from_fn(|at| {
                    *from[(row + at) * from_row + column..].first_chunk().expect("a row of the block")
                });
                for (at, turned) in turned(block).into_iter().enumerate() {
                    *to[(column + at) * to_row + row..].first_chunk_mut().expect("a column of the block") = turned;
                }
            }
        }
        for row in 0..rows {
            let first = if row < whole_rows { whole_columns } else { 0 };
            for column in first..columns {
                to[column * to_row + row] = from[row * from_row + column];
            }
        }
    }
}

/// In three rounds of neighbours that change places, which compile to shuffles.
#[expect(clippy::inline_always, reason = "it must be compiled with its caller's vectors")]
#[inline(always)]
fn turned(rows: [[f32; SIDE]; SIDE]) -> [[f32; SIDE]; SIDE] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}
