//! Linear maps along the height and the width of pictures.

use burn::tensor::{Tensor, TensorData};

/// A square matrix of this size, filled from row and column.
fn matrix(size: usize, entry: impl Fn(usize, usize) -> f64, like: &Tensor<4>) -> Tensor<2> {
    let values: Vec<f32> = (0..size * size).map(|at| entry(at / size, at % size) as f32).collect();
    Tensor::from_data(TensorData::new(values, [size, size]), &like.device())
}

/// `A X Bᵀ` of every channel, where `A` has the rows of `down` and `B` those of `across`.
///
/// # Shapes
///
/// - input, output: `[batch, channels, height, width]`
pub(crate) fn along_axes(
    input: Tensor<4>,
    down: impl Fn(usize, usize) -> f64,
    across: impl Fn(usize, usize) -> f64,
) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let planes = batch * channels;
    let (down, across) = (matrix(height, down, &input), matrix(width, across, &input));
    let rows = input.reshape([planes * height, width]).matmul(across.transpose());
    let columns = rows.reshape([planes, height, width]).swap_dims(1, 2).reshape([planes * width, height]);
    let columns = columns.matmul(down.transpose());
    columns.reshape([planes, width, height]).swap_dims(1, 2).reshape([batch, channels, height, width])
}
