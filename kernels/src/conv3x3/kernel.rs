//! The kernel, and how it is started.

use super::{Activation, Conv3x3, Tile};
use crate::{
    packed::{Format, Operand, Stage, TILE, add_parts, fetch, stage},
    rehearsal::real_side,
};
use burn::{backend::TensorMetadata as _, tensor::Shape};
use burn_cubecl::{ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::prelude::*;
use half::f16;

/// Sides and channels, as the kernel is told them.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Sizes {
    in_channels: usize,
    in_height: usize,
    in_width: usize,
    out_channels: usize,
    out_height: usize,
    out_width: usize,
    /// Vectors between the biases of two pictures; zero when they share one.
    bias_stride: usize,
}

/// What is compiled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    options: Conv3x3,
    format: Format,
    /// Tiles of channels side by side in a workgroup: more of them where there are few pixels.
    tiles: usize,
    /// Pixels of a thread.
    pixels: usize,
    /// Whether products are of half precision.
    is_half: bool,
}

impl Plan {
    fn new(options: Conv3x3, format: Format, is_half: bool, [channels, height, width]: [usize; 3]) -> Self {
        // A row that is shorter than a tile would leave most of it empty.
        let pixels = width.next_power_of_two().min(Tile::PIXELS);
        let wanted = Tile::THREADS / (width.div_ceil(pixels) * height).next_power_of_two().max(1);
        let tiles = wanted.clamp(1, Tile::MOST_SIDE_BY_SIDE).min(channels.div_ceil(TILE).next_power_of_two());
        Self { options, format, tiles, pixels, is_half }
    }

    /// Threads that have pixels of their own.
    const fn across(self) -> usize {
        Tile::THREADS / self.tiles
    }

    /// Input channels whose weights are turned into f32 at once.
    const fn channels(self) -> usize {
        Tile::CHANNELS_AT_ONCE / self.tiles
    }

    const fn stage(self) -> Stage {
        Stage { format: self.format, tiles: self.tiles, columns: self.channels() * 9, threads: Tile::THREADS }
    }
}

/// Starts the kernel on contiguous tensors.
pub fn launch(
    [input, words, bias]: [CubeTensor; 3],
    residual: Option<CubeTensor>,
    shape: Shape,
    operand: Operand,
    options: Conv3x3,
) -> CubeTensor {
    let [_, in_channels, in_height, in_width] = input.shape().dims();
    let [batch, out_channels, out_height, out_width] = shape.dims();
    let client = input.client.clone();
    let output = empty_device_contiguous_dtype(client.clone(), input.device.clone(), shape, input.dtype);
    let is_half = operand.is_half(&client);
    let sides = [out_channels, real_side(out_height), real_side(out_width)];
    let plan = Plan::new(options, operand.format, is_half, sides);
    let pixel_tiles = out_width.div_ceil(plan.pixels) * out_height;
    let count = CubeCount::Static(
        pixel_tiles.div_ceil(plan.across()) as u32,
        out_channels.div_ceil(TILE * plan.tiles) as u32,
        batch as u32,
    );
    let [biases, _] = bias.shape().dims();
    let bias_stride = if biases == 1 { 0 } else { out_channels.next_multiple_of(TILE) / 4 };
    let start = if is_half { conv3x3_kernel::launch::<f16> } else { conv3x3_kernel::launch::<f32> };
    start(
        &client,
        count,
        CubeDim::new_1d(Tile::THREADS as u32),
        input.into_buffer_arg(),
        words.into_buffer_arg(),
        bias.into_buffer_arg(),
        residual.map(CubeTensor::into_buffer_arg).into(),
        output.clone().into_buffer_arg(),
        SizesLaunch::new(in_channels, in_height, in_width, out_channels, out_height, out_width, bias_stride),
        plan,
    );
    output
}

#[cube(launch)]
fn conv3x3_kernel<F: Float>(
    input: &[f32],
    words: &[Vector<u32, Const<4>>],
    bias: &[Vector<f32, Const<4>>],
    residual: ComptimeOption<&[f32]>,
    output: &mut [f32],
    sizes: Sizes,
    #[comptime] plan: Plan,
) {
    let pixels = comptime![plan.pixels];
    let vectors = comptime![Tile::VECTORS];
    let rows_of_tiles = sizes.out_width.div_ceil(pixels);
    let pixel_tile = CUBE_POS_X as usize * comptime![plan.across()] + UNIT_POS as usize % comptime![plan.across()];
    let place = Place {
        batch: CUBE_POS_Z as usize,
        y: pixel_tile / rows_of_tiles,
        x: pixel_tile % rows_of_tiles * pixels,
        own: UNIT_POS as usize / comptime![plan.across()],
        tile: CUBE_POS_Y as usize * comptime![plan.tiles] + UNIT_POS as usize / comptime![plan.across()],
    };
    let tiles = sizes.out_channels.div_ceil(TILE);
    let is_inside = place.y < sizes.out_height && place.tile < tiles;

    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime![pixels * vectors]);
    // What is not in them yet: everything, unless it is of half precision.
    let mut parts = Array::<Vector<F, Const<4>>>::new(comptime![pixels * vectors]);
    #[unroll]
    for vector in 0..vectors {
        let start = bias[place.batch * sizes.bias_stride + min(place.tile, tiles - 1) * vectors + vector];
        #[unroll]
        for pixel in 0..pixels {
            sums[pixel * vectors + vector] = start;
            parts[pixel * vectors + vector] = Vector::cast_from(0.0f32.runtime());
        }
    }
    let mut staged = Shared::<[Vector<F, Const<4>>]>::new_slice(comptime![plan.stage().vectors()]);
    let channels = comptime![plan.channels()];
    for first in range_stepped(0usize, sizes.in_channels, channels) {
        if comptime![plan.stage().is_needed()] {
            let first_tile = CUBE_POS_Y as usize * comptime![plan.tiles];
            stage(words, &mut staged, first_tile, tiles, first * 9, sizes.in_channels * 9, comptime![plan.stage()]);
            sync_cube();
        }
        if is_inside {
            for local in 0..min(channels, sizes.in_channels - first) {
                accumulate(input, words, &staged, &mut parts, &sizes, &place, first, local, plan);
                if comptime![plan.is_half] {
                    let is_enough = local % Tile::CHANNELS_IN_HALF == Tile::CHANNELS_IN_HALF - 1;
                    if is_enough {
                        add_parts(&mut sums, &mut parts, comptime![pixels * vectors]);
                    }
                }
            }
        }
        if comptime![plan.stage().is_needed()] {
            // What is staged must not be overwritten before everybody has read it.
            sync_cube();
        }
    }
    if is_inside {
        add_parts(&mut sums, &mut parts, comptime![pixels * vectors]);
        write(residual, output, sums, &sizes, &place, plan);
    }
}

/// What a thread computes.
#[derive(CubeType, Clone, Copy)]
struct Place {
    batch: usize,
    /// Row, and first column, of its pixels.
    y: usize,
    x: usize,
    /// Its tile of channels among the workgroup's.
    own: usize,
    /// The same among all.
    tile: usize,
}

/// Adds what one input channel gives to a thread's tile: the `local`th of those from `first` on.
#[cube]
fn accumulate<F: Float>(
    input: &[f32],
    words: &[Vector<u32, Const<4>>],
    staged: &Shared<[Vector<F, Const<4>>]>,
    parts: &mut Array<Vector<F, Const<4>>>,
    sizes: &Sizes,
    place: &Place,
    first: usize,
    local: usize,
    #[comptime] plan: Plan,
) {
    let pixels = comptime![plan.pixels];
    let vectors = comptime![Tile::VECTORS];
    let step = comptime![if plan.options.halve { 2usize } else { 1usize }];
    let scale = comptime![if plan.options.double { 2usize } else { 1usize }];
    let reach = comptime![(pixels - 1) * step + 3];
    let plane = (place.batch * sizes.in_channels + first + local) * sizes.in_height;
    let column = (place.tile * sizes.in_channels + first + local) * 9;
    let staged_column = (place.own * comptime![plan.channels()] + local) * 9;

    #[unroll]
    for kernel_y in 0..3usize {
        // One more than the row, so that the frame above is zero and no number is below it.
        let above = place.y * step + kernel_y;
        if above > 0 && above <= sizes.in_height * scale {
            let row = (plane + (above - 1) / scale) * sizes.in_width;
            let mut under = Array::<F>::new(reach);
            #[unroll]
            for offset in 0..reach {
                let before = place.x * step + offset;
                let is_inside = before > 0 && before <= sizes.in_width * scale;
                let column = if is_inside { (before - 1) / scale } else { 0usize.runtime() };
                under[offset] = F::cast_from(select(is_inside, input[row + column], 0.0f32));
            }
            #[unroll]
            for kernel_x in 0..3usize {
                let tap = comptime![kernel_y * 3 + kernel_x];
                #[unroll]
                for vector in 0..vectors {
                    let weights = if comptime![plan.stage().is_needed()] {
                        staged[(staged_column + tap) * 2 + vector]
                    } else {
                        Vector::cast_from(fetch(words, column + tap, vector, plan.format))
                    };
                    #[unroll]
                    for pixel in 0..pixels {
                        parts[pixel * vectors + vector] += Vector::new(under[pixel * step + kernel_x]) * weights;
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
    place: &Place,
    #[comptime] plan: Plan,
) {
    let pixels = comptime![plan.pixels];
    let vectors = comptime![Tile::VECTORS];
    #[unroll]
    for vector in 0..vectors {
        #[unroll]
        for lane in 0..4usize {
            let channel = (place.tile * vectors + vector) * 4 + lane;
            if channel < sizes.out_channels {
                let row = ((place.batch * sizes.out_channels + channel) * sizes.out_height + place.y) * sizes.out_width;
                #[unroll]
                for pixel in 0..pixels {
                    if place.x + pixel < sizes.out_width {
                        let at = row + place.x + pixel;
                        let sum = sums[pixel * vectors + vector].extract(lane);
                        let added: ComptimeOption<f32> = residual.as_ref().map(|residual| residual[at]);
                        let sum = sum + added.unwrap_or(0.0f32.runtime());
                        output[at] = activated(sum, plan.options.activation);
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
