//! The kernel, and how it is started.

use super::{Activation, Conv3x3, Tile};
use burn::{backend::TensorMetadata as _, tensor::Shape};
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;

/// Sides and channels, as the kernel is told them.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Sizes {
    in_channels: usize,
    in_height: usize,
    in_width: usize,
    out_channels: usize,
    out_height: usize,
    out_width: usize,
}

/// Starts the kernel on contiguous tensors.
pub fn launch(
    [input, weight, bias]: [CubeTensor; 3],
    residual: Option<CubeTensor>,
    shape: Shape,
    options: Conv3x3,
) -> CubeTensor {
    let [_, in_channels, in_height, in_width] = input.shape().dims();
    let [batch, out_channels, out_height, out_width] = shape.dims();
    let client = input.client.clone();
    let output = empty_device_contiguous_dtype(client.clone(), input.device.clone(), shape, input.dtype);
    let tiles = out_width.div_ceil(Tile::PIXELS) * out_height;
    let groups = out_channels.div_ceil(Tile::CHANNELS);
    let count = CubeCount::Static(tiles.div_ceil(Tile::THREADS as usize) as u32, groups as u32, batch as u32);
    conv3x3_kernel::launch(
        &client,
        count,
        CubeDim::new_1d(Tile::THREADS),
        input.into_buffer_arg(),
        weight.into_buffer_arg(),
        bias.into_buffer_arg(),
        residual.map(CubeTensor::into_buffer_arg).into(),
        output.clone().into_buffer_arg(),
        SizesLaunch::new(in_channels, in_height, in_width, out_channels, out_height, out_width),
        options,
    );
    output
}

#[cube(launch)]
fn conv3x3_kernel(
    input: &[f32],
    weight: &[Vector<f32, Const<4>>],
    bias: &[Vector<f32, Const<4>>],
    residual: ComptimeOption<&[f32]>,
    output: &mut [f32],
    sizes: Sizes,
    #[comptime] options: Conv3x3,
) {
    let pixels = comptime![Tile::PIXELS];
    let vectors = comptime![Tile::VECTORS];
    let tiles = sizes.out_width.div_ceil(pixels);
    let tile = ABSOLUTE_POS_X as usize;
    let y = tile / tiles;
    let x = tile % tiles * pixels;
    if y >= sizes.out_height {
        terminate!();
    }
    let first = CUBE_POS_Y as usize * vectors;
    let batch = CUBE_POS_Z as usize;

    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime![pixels * vectors]);
    #[unroll]
    for pixel in 0..pixels {
        #[unroll]
        for vector in 0..vectors {
            sums[pixel * vectors + vector] = bias[first + vector];
        }
    }
    for channel in 0..sizes.in_channels {
        accumulate(input, weight, &mut sums, &sizes, batch, channel, y, x, first, options);
    }
    write(residual, output, sums, &sizes, batch, y, x, first, options.activation);
}

/// Adds what one input channel gives to a thread's tile.
#[cube]
fn accumulate(
    input: &[f32],
    weight: &[Vector<f32, Const<4>>],
    sums: &mut Array<Vector<f32, Const<4>>>,
    sizes: &Sizes,
    batch: usize,
    channel: usize,
    y: usize,
    x: usize,
    first: usize,
    #[comptime] options: Conv3x3,
) {
    let pixels = comptime![Tile::PIXELS];
    let vectors = comptime![Tile::VECTORS];
    let step = comptime![if options.halve { 2usize } else { 1usize }];
    let scale = comptime![if options.double { 2usize } else { 1usize }];
    let reach = comptime![(pixels - 1) * step + 3];
    let plane = (batch * sizes.in_channels + channel) * sizes.in_height;
    let row_of_vectors = sizes.out_channels.div_ceil(comptime![Tile::CHANNELS]) * vectors;

    #[unroll]
    for kernel_y in 0..3usize {
        // One more than the row, so that the frame above is zero and no number is below it.
        let above = y * step + kernel_y;
        if above > 0 && above <= sizes.in_height * scale {
            let row = (plane + (above - 1) / scale) * sizes.in_width;
            let mut under = Array::<f32>::new(reach);
            #[unroll]
            for offset in 0..reach {
                let before = x * step + offset;
                let is_inside = before > 0 && before <= sizes.in_width * scale;
                let column = if is_inside { (before - 1) / scale } else { 0usize.runtime() };
                under[offset] = select(is_inside, input[row + column], 0.0f32);
            }
            #[unroll]
            for kernel_x in 0..3usize {
                let at = ((channel * 3 + kernel_y) * 3 + kernel_x) * row_of_vectors + first;
                #[unroll]
                for vector in 0..vectors {
                    let weights = weight[at + vector];
                    #[unroll]
                    for pixel in 0..pixels {
                        sums[pixel * vectors + vector] += Vector::new(under[pixel * step + kernel_x]) * weights;
                    }
                }
            }
        }
    }
}

/// Writes a thread's tile, as far as it is inside the picture.
#[cube]
fn write(
    residual: ComptimeOption<&[f32]>,
    output: &mut [f32],
    sums: Array<Vector<f32, Const<4>>>,
    sizes: &Sizes,
    batch: usize,
    y: usize,
    x: usize,
    first: usize,
    #[comptime] activation: Option<Activation>,
) {
    let pixels = comptime![Tile::PIXELS];
    let vectors = comptime![Tile::VECTORS];
    #[unroll]
    for vector in 0..vectors {
        #[unroll]
        for lane in 0..4usize {
            let channel = (first + vector) * 4 + lane;
            if channel < sizes.out_channels {
                let row = ((batch * sizes.out_channels + channel) * sizes.out_height + y) * sizes.out_width;
                #[unroll]
                for pixel in 0..pixels {
                    if x + pixel < sizes.out_width {
                        let at = row + x + pixel;
                        let sum = sums[pixel * vectors + vector].extract(lane);
                        let added: ComptimeOption<f32> = residual.as_ref().map(|residual| residual[at]);
                        let sum = sum + added.unwrap_or(0.0f32.runtime());
                        output[at] = activated(sum, activation);
                    }
                }
            }
        }
    }
}

#[cube]
fn activated(sum: f32, #[comptime] activation: Option<Activation>) -> f32 {
    match comptime![activation] {
        None => sum,
        Some(Activation::Silu) => sum / (1.0f32 + (-sum).exp()),
        Some(Activation::Relu) => max(sum, 0.0f32.runtime()),
    }
}
