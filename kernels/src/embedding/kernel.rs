//! The kernel, and how it is started.

use crate::packed::{Format, Operand, value};
use burn::{
    backend::TensorMetadata as _,
    tensor::{DType, Shape},
};
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// Threads of a workgroup, which follow each other in a row.
const THREADS: usize = 64;

/// Starts the kernel on contiguous tensors.
pub fn launch(ids: CubeTensor, words: CubeTensor, operand: Operand) -> CubeTensor {
    let [batch, tokens] = ids.shape().dims();
    let client = ids.client.clone();
    let shape = Shape::new([batch, tokens, operand.columns]);
    let output = empty_device_contiguous_dtype(client.clone(), ids.device.clone(), shape, DType::F32);
    embedding_kernel::launch(
        &client,
        CubeCount::Static(operand.columns.div_ceil(THREADS) as u32, (batch * tokens) as u32, 1),
        CubeDim::new_1d(THREADS as u32),
        ids.into_buffer_arg(),
        words.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        operand.rows,
        operand.columns,
        operand.format,
    );
    output
}

#[cube(launch)]
fn embedding_kernel(
    ids: &[i32],
    words: &[u32],
    output: &mut [f32],
    rows: usize,
    columns: usize,
    #[comptime] format: Format,
) {
    let column = ABSOLUTE_POS_X as usize;
    let place = CUBE_POS_Y as usize;
    if column >= columns {
        terminate!();
    }
    let row = min(ids[place] as usize, rows - 1);
    output[place * columns + column] = value(words, row, column, columns, format);
}
