//! A convolution and its gradients as matrix products over a few samples at a time.

use super::{
    columns::{fold, unfold},
    lanes::{add, sum, vectorised},
    matrix::{Matrix, multiply},
};
use rayon::prelude::*;

/// Between the rows of a matrix of columns, which are often a power of two long: without, the rows of one column would
/// share a few lines of the cache, and a product along them is half as fast.
const PADDING: usize = 16;

/// Sides of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Channels that come in.
    pub input: usize,
    /// Channels that go out.
    pub output: usize,
    /// Rows that come in.
    pub height: usize,
    /// Columns that come in.
    pub width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

impl ConvShape {
    /// Rows and columns that go out.
    pub const fn output_sides(&self) -> (usize, usize) {
        (self.output_side(self.height), self.output_side(self.width))
    }

    const fn output_side(&self, side: usize) -> usize {
        (side + 2 * self.padding - self.kernel) / self.stride + 1
    }

    const fn area(&self) -> usize {
        let (height, width) = self.output_sides();
        height * width
    }

    /// Rows of the unfolded matrix.
    const fn depth(&self) -> usize {
        self.input * self.kernel * self.kernel
    }

    const fn input_plane(&self) -> usize {
        self.input * self.height * self.width
    }

    const fn output_plane(&self) -> usize {
        self.output * self.area()
    }

    /// Samples that are computed together: enough columns for a product to be worth its packing, few enough for the cache.
    fn samples_at_once(&self) -> usize {
        (256 / self.area()).clamp(1, self.batch.max(1))
    }
}

/// `[batch, output, height', width']`.
pub fn forward(input: &[f32], weight: &[f32], bias: &[f32], shape: &ConvShape) -> Vec<f32> {
    let (at_once, area) = (shape.samples_at_once(), shape.area());
    let mut output = vec![0.0; shape.batch * shape.output_plane()];
    let pieces = output.par_chunks_mut(at_once * shape.output_plane());
    pieces.zip(input.par_chunks(at_once * shape.input_plane())).for_each_init(
        || (Vec::new(), Vec::new()),
        |(columns, product), (output, input)| {
            let samples = input.len() / shape.input_plane();
            let (width, stride) = (samples * area, samples * area + PADDING);
            columns.resize(shape.depth() * stride, 0.0);
            product.resize(shape.output * stride, 0.0);
            unfold(input, columns, stride, shape, samples);
            let weight = Matrix::new(weight, shape.output, shape.depth());
            multiply(product, stride, weight, Matrix::with_stride(columns, shape.depth(), width, stride), false);
            vectorised(
                #[inline(always)]
                || scatter(product, stride, output, bias, samples, area),
            );
        },
    );
    output
}

/// Gradients of input, weight and bias.
pub fn backward(input: &[f32], weight: &[f32], gradient: &[f32], shape: &ConvShape) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (at_once, area) = (shape.samples_at_once(), shape.area());
    let mut of_input = vec![0.0; input.len()];
    // Two sums whatever the number of threads, so that a run repeats exactly on any machine.
    let half = shape.batch.div_ceil(at_once).div_ceil(2).max(1) * at_once;
    let halves: Vec<_> = of_input
        .par_chunks_mut(half * shape.input_plane())
        .zip(input.par_chunks(half * shape.input_plane()))
        .zip(gradient.par_chunks(half * shape.output_plane()))
        .map(|((of_input, input), gradient)| {
            let (mut columns, mut gathered) = (Vec::new(), Vec::new());
            let mut of_weight = vec![0.0; weight.len()];
            let mut of_bias = vec![0.0; shape.output];
            let inputs = input.chunks(at_once * shape.input_plane());
            let gradients = gradient.chunks(at_once * shape.output_plane());
            for ((of_input, input), gradient) in
                of_input.chunks_mut(at_once * shape.input_plane()).zip(inputs).zip(gradients)
            {
                let samples = input.len() / shape.input_plane();
                let (width, stride) = (samples * area, samples * area + PADDING);
                columns.resize(shape.depth() * stride, 0.0);
                gathered.resize(shape.output * stride, 0.0);
                vectorised(
                    #[inline(always)]
                    || gather(gradient, &mut gathered, stride, &mut of_bias, samples, area),
                );
                let rows = Matrix::with_stride(&gathered, shape.output, width, stride);
                unfold(input, &mut columns, stride, shape, samples);
                let unfolded = Matrix::with_stride(&columns, shape.depth(), width, stride);
                multiply(&mut of_weight, shape.depth(), rows, unfolded.transpose(), true);
                let weight = Matrix::new(weight, shape.output, shape.depth());
                multiply(&mut columns, stride, weight.transpose(), rows, false);
                vectorised(
                    #[inline(always)]
                    || fold(&columns, stride, of_input, shape, samples),
                );
            }
            (of_weight, of_bias)
        })
        .collect();
    let (of_weight, of_bias) = halves
        .into_iter()
        .reduce(|(mut weight, mut bias), (other_weight, other_bias)| {
            add(&mut weight, &other_weight);
            add(&mut bias, &other_bias);
            (weight, bias)
        })
        .unwrap_or_default();
    (of_input, of_weight, of_bias)
}

/// `[output, samples * area]` to `[samples, output, area]`, with the bias.
#[inline(always)]
fn scatter(product: &[f32], stride: usize, output: &mut [f32], bias: &[f32], samples: usize, area: usize) {
    let channels = bias.len();
    for (channel, (row, bias)) in product.chunks_exact(stride).zip(bias).enumerate() {
        for (sample, row) in row.chunks_exact(area).take(samples).enumerate() {
            let to = &mut output[(sample * channels + channel) * area..][..area];
            to.iter_mut().zip(row).for_each(|(to, value)| *to = value + bias);
        }
    }
}

/// `[samples, output, area]` to `[output, samples * area]`; what the bias gets is added up on the way.
#[inline(always)]
fn gather(gradient: &[f32], gathered: &mut [f32], stride: usize, of_bias: &mut [f32], samples: usize, area: usize) {
    let channels = of_bias.len();
    for (channel, (row, of_bias)) in gathered.chunks_exact_mut(stride).zip(of_bias).enumerate() {
        for (sample, row) in row.chunks_exact_mut(area).take(samples).enumerate() {
            row.copy_from_slice(&gradient[(sample * channels + channel) * area..][..area]);
            let row = &*row;
            *of_bias += sum(
                area,
                #[inline(always)]
                |index| row[index],
            );
        }
    }
}
