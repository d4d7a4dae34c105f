//! The kernel, and how it is started.

use super::Norm;
use burn::backend::TensorMetadata as _;
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// Threads of a workgroup, which is a row's; a power of two that every adapter takes.
const THREADS: u32 = 64;
/// Workgroups along one axis, at most, by WebGPU's default limits.
const MOST: usize = 65_535;

/// How rows lie, as the kernel is told.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Rows {
    count: usize,
    length: usize,
    groups: usize,
    area: usize,
    epsilon: f32,
}

/// Starts the kernel on contiguous tensors.
pub fn launch([input, weight, bias]: [CubeTensor; 3], norm: Norm) -> CubeTensor {
    let Norm { length, groups, area, epsilon, silu } = norm;
    let client = input.client.clone();
    let shape = input.shape();
    let count = shape.num_elements() / length.max(1);
    let output = empty_device_contiguous_dtype(client.clone(), input.device.clone(), shape, input.dtype);
    let (across, down) = (count.clamp(1, MOST), count.div_ceil(MOST).max(1));
    norm_kernel::launch(
        &client,
        CubeCount::Static(across as u32, down as u32, 1),
        CubeDim::new_1d(THREADS),
        input.into_buffer_arg(),
        weight.into_buffer_arg(),
        bias.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        RowsLaunch::new(count, length, groups, area, epsilon),
        silu,
    );
    output
}

#[cube(launch)]
fn norm_kernel(input: &[f32], weight: &[f32], bias: &[f32], output: &mut [f32], rows: Rows, #[comptime] silu: bool) {
    let row = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    if row >= rows.count {
        terminate!();
    }
    let start = row * rows.length;
    let first_channel = row % rows.groups * (rows.length / rows.area);
    let (own, threads) = (UNIT_POS as usize, CUBE_DIM as usize);

    let mut sum = 0.0f32.runtime();
    for at in range_stepped(own, rows.length, threads) {
        sum += input[start + at];
    }
    let mean = total(sum) / rows.length as f32;
    let mut squares = 0.0f32.runtime();
    for at in range_stepped(own, rows.length, threads) {
        let centred = input[start + at] - mean;
        squares += centred * centred;
    }
    let scale = 1.0f32 / (total(squares) / rows.length as f32 + rows.epsilon).sqrt();
    for at in range_stepped(own, rows.length, threads) {
        let channel = first_channel + at / rows.area;
        let normed = (input[start + at] - mean) * scale * weight[channel] + bias[channel];
        output[start + at] = if silu { normed / (1.0f32 + (-normed).exp()) } else { normed };
    }
}

/// The sum over all threads of a workgroup, in each of them.
#[cube]
fn total(own: f32) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(comptime![THREADS as usize]);
    sums[UNIT_POS as usize] = own;
    sync_cube();
    let mut step = comptime![THREADS as usize / 2];
    #[unroll]
    for _ in 0..comptime![THREADS.ilog2()] {
        if (UNIT_POS as usize) < step {
            let other = sums[UNIT_POS as usize + step];
            sums[UNIT_POS as usize] += other;
        }
        sync_cube();
        comptime![step /= 2];
    }
    let sum = sums[0];
    // The next total must not overwrite what another thread has still to read.
    sync_cube();
    sum
}
