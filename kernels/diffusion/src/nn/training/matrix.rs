//! The product of two matrices in slices.

use gemm::{Parallelism, gemm};

/// A matrix in a slice, read as it lies or transposed.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// From a row to the next as they lie.
    stride: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::with_stride(values, rows, columns, columns)
    }

    /// Rows of `columns` values that begin `stride` values apart.
    pub fn with_stride(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(values.len() == rows * stride && columns <= stride, "a matrix of {rows} x {columns} every {stride}");
        Self { values, rows, columns, stride, transposed: false }
    }

    /// The same values with rows and columns exchanged.
    pub const fn transpose(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Steps between columns and between rows.
    const fn strides(&self) -> (isize, isize) {
        if self.transposed { (self.stride as isize, 1) } else { (1, self.stride as isize) }
    }
}

/// `output = a b`, or `output += a b`; `output` is `[a.rows, b.columns]` with rows that begin `stride` values apart.
pub fn multiply(output: &mut [f32], stride: usize, a: Matrix<'_>, b: Matrix<'_>, accumulate: bool) {
    assert_eq!(a.columns, b.rows, "inner sides of a product");
    assert!(output.len() == a.rows * stride && b.columns <= stride, "the place for a product");
    let ((a_columns, a_rows), (b_columns, b_rows)) = (a.strides(), b.strides());
    #[expect(
        unsafe_code,
        reason = "the library takes pointers; the lengths were compared with the sides above and in `Matrix::new`"
    )]
    // SAFETY: every index that the strides reach lies within its slice, and `output` is borrowed exclusively.
    unsafe {
        gemm(
            a.rows,
            b.columns,
            a.columns,
            output.as_mut_ptr(),
            1,
            stride as isize,
            accumulate,
            a.values.as_ptr(),
            a_columns,
            a_rows,
            b.values.as_ptr(),
            b_columns,
            b_rows,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
