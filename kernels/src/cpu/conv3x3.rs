//! 3 x 3 convolutions: panels of eight pixels, unfolded a few channels at a time, against tiles of the packed matrix.

use super::{
    contiguous, dims,
    functions::swish,
    simd::{LANES, add, load, max, splat, store},
    tensor,
    tile::{self, COLUMNS, ROWS, Rows},
    values, weights,
};
use crate::{
    conv3x3::{Activation, Conv3x3, Conv3x3Ops},
    packed::{Operand, TILE},
};
use burn::backend::{Flex, flex::FlexTensor};

/// Panels that are unfolded at once.
const PANELS_AT_ONCE: usize = 32;
/// Channels that are unfolded at once: 9 KiB of a panel and as many of the matrix.
const CHANNELS_AT_ONCE: usize = 32;
/// Places of a kernel.
const KERNEL: usize = 9;

impl Conv3x3Ops for Flex {
    fn conv3x3(
        input: FlexTensor,
        words: FlexTensor,
        bias: FlexTensor,
        operand: Operand,
        options: Conv3x3,
    ) -> FlexTensor {
        launch(&[input, bias].map(contiguous), &words, None, operand, options)
    }

    fn conv3x3_add(
        input: FlexTensor,
        words: FlexTensor,
        bias: FlexTensor,
        residual: FlexTensor,
        operand: Operand,
        options: Conv3x3,
    ) -> FlexTensor {
        launch(&[input, bias].map(contiguous), &words, Some(&contiguous(residual)), operand, options)
    }
}

fn launch(
    [input, bias]: &[FlexTensor; 2],
    words: &FlexTensor,
    residual: Option<&FlexTensor>,
    operand: Operand,
    options: Conv3x3,
) -> FlexTensor {
    let [batch, channels, height, width] = dims(input);
    let [biases, _] = dims(bias);
    let (rows, columns) = (options.output_side(height), options.output_side(width));
    let convolution = Convolution {
        input: values(input),
        weight: weights(words),
        bias: values(bias),
        biases,
        residual: residual.map(values),
        batch,
        channels,
        height,
        width,
        outputs: operand.rows,
        rows,
        columns,
        options,
    };
    tensor(convolution.output(), [batch, operand.rows, rows, columns])
}

pub(super) struct Convolution<'a> {
    pub(super) input: &'a [f32],
    pub(super) weight: &'a [f32],
    /// One for all pictures or one for each, in whole tiles.
    pub(super) bias: &'a [f32],
    pub(super) biases: usize,
    pub(super) residual: Option<&'a [f32]>,
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) outputs: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) options: Conv3x3,
}

/// Eight pixels of a picture, or fewer at its end.
#[derive(Clone, Copy)]
struct Panel {
    picture: usize,
    first: usize,
    count: usize,
}

impl Convolution<'_> {
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn output(&self) -> Vec<f32> {
        #[cfg(target_arch = "x86_64")]
        if let Some(level) = super::wide() {
            return super::wide::conv3x3::output(self, level);
        }
        let area = self.rows * self.columns;
        let mut output = vec![0.0; self.batch * self.outputs * area];
        let panels: Vec<Panel> = (0..self.batch)
            .flat_map(|picture| {
                let panel = move |first| Panel { picture, first, count: COLUMNS.min(area - first) };
                (0..area).step_by(COLUMNS).map(panel)
            })
            .collect();
        let depth = self.channels.min(CHANNELS_AT_ONCE) * KERNEL;
        let mut unfolded = vec![0.0; panels.len().min(PANELS_AT_ONCE) * depth * COLUMNS];
        let padded_outputs = self.outputs.next_multiple_of(TILE);
        let mut sums = vec![0.0; panels.len().min(PANELS_AT_ONCE) * padded_outputs * COLUMNS];
        let mut frame = Vec::new();
        for panels in panels.chunks(PANELS_AT_ONCE) {
            self.start(panels, &mut sums);
            for channel in (0..self.channels).step_by(CHANNELS_AT_ONCE) {
                let channels = CHANNELS_AT_ONCE.min(self.channels - channel);
                self.unfold(panels, channel, channels, &mut frame, &mut unfolded);
                self.add_up(panels.len(), channel, channels, &unfolded, &mut sums);
            }
            for (&panel, sums) in panels.iter().zip(sums.chunks_exact(padded_outputs * COLUMNS)) {
                self.finish(panel, sums, &mut output);
            }
        }
        output
    }

    /// The bias for each panel, channel by channel, eight pixels each.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn start(&self, panels: &[Panel], sums: &mut [f32]) {
        let outputs = self.bias.len() / self.biases;
        for (panel, sums) in panels.iter().zip(sums.chunks_exact_mut(outputs * COLUMNS)) {
            let bias = &self.bias[panel.picture % self.biases * outputs..][..outputs];
            for (sums, &bias) in sums.chunks_exact_mut(COLUMNS).zip(bias) {
                sums.fill(bias);
            }
        }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn add_up(&self, panels: usize, channel: usize, channels: usize, unfolded: &[f32], sums: &mut [f32]) {
        let outputs = self.outputs.next_multiple_of(TILE);
        let depth = channels * KERNEL;
        for tile in 0..outputs / TILE {
            let weight = &self.weight[(tile * self.channels + channel) * KERNEL * TILE..];
            for panel in 0..panels {
                let pixels = &unfolded[panel * depth * COLUMNS..];
                for half in (0..TILE).step_by(ROWS) {
                    let a = Rows { values: &weight[half..], row: 1, column: TILE };
                    let place = &mut sums[(panel * outputs + tile * TILE + half) * COLUMNS..];
                    tile::accumulate(a, (pixels, COLUMNS), (place, COLUMNS), ROWS, depth);
                }
            }
        }
    }

    /// What lies under the kernel at every pixel of the panels, for some channels: `[panel, channel, place, pixel]`.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn unfold(&self, panels: &[Panel], channel: usize, channels: usize, frame: &mut Vec<f32>, unfolded: &mut [f32]) {
        let step = 1 + usize::from(self.options.halve);
        let mut unfolded = unfolded.chunks_exact_mut(channels * KERNEL * COLUMNS);
        for panels in panels.chunk_by(|a, b| a.picture == b.picture) {
            let (first, last) = (panels[0], panels[panels.len() - 1]);
            let top = first.first / self.columns * step;
            let bottom = (last.first + last.count - 1) / self.columns * step + 3;
            let stride = self.stride();
            self.framed(first.picture, channel..channel + channels, top..bottom, frame);
            let plane = (bottom - top) * stride;
            for panel in panels {
                let place = |pixel: usize| {
                    // Beyond the picture's end the last pixel stands in.
                    let pixel = panel.first + pixel.min(panel.count - 1);
                    (pixel / self.columns * step - top) * stride + pixel % self.columns * step
                };
                let places = Places::new(std::array::from_fn(place));
                let Some(unfolded) = unfolded.next() else { return };
                let rows = unfolded.chunks_exact_mut(3 * COLUMNS);
                for (index, rows) in rows.enumerate() {
                    let start = index / 3 * plane + index % 3 * stride;
                    for (kx, pixels) in rows.chunks_exact_mut(COLUMNS).enumerate() {
                        places.gather(&frame[start + kx..], pixels);
                    }
                }
            }
        }
    }

    /// Length of a row in a frame.
    pub(super) const fn stride(&self) -> usize {
        self.width * (1 + self.options.double as usize) + 2
    }

    /// Some rows of a picture's channels with a frame of zeros, doubled first if asked.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    pub(super) fn framed(
        &self,
        picture: usize,
        channels: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        frame: &mut Vec<f32>,
    ) {
        let scale = 1 + usize::from(self.options.double);
        let (height, width) = (self.height * scale, self.width * scale);
        let stride = self.stride();
        frame.clear();
        // Room behind the last row for vectors that are read over its end.
        frame.resize(channels.len() * rows.len() * stride + COLUMNS, 0.0);
        for (plane, channel) in channels.enumerate() {
            for (at, y) in rows.clone().enumerate() {
                if !(1..=height).contains(&y) {
                    continue;
                }
                let from = ((picture * self.channels + channel) * self.height + (y - 1) / scale) * self.width;
                let from = &self.input[from..from + self.width];
                let to = &mut frame[(plane * rows.len() + at) * stride + 1..][..width];
                if scale == 1 {
                    to.copy_from_slice(from);
                } else {
                    to.chunks_exact_mut(2).zip(from).for_each(|(to, &from)| to.fill(from));
                }
            }
        }
    }

    /// Residual, activation, and the way to where the outputs belong.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn finish(&self, panel: Panel, sums: &[f32], output: &mut [f32]) {
        let area = self.rows * self.columns;
        for (channel, sums) in sums.chunks_exact(COLUMNS).take(self.outputs).enumerate() {
            let at = (panel.picture * self.outputs + channel) * area + panel.first;
            let mut residual = [0.0; COLUMNS];
            if let Some(from) = self.residual {
                residual[..panel.count].copy_from_slice(&from[at..at + panel.count]);
            }
            let mut done = [0.0; COLUMNS];
            for half in [0, LANES] {
                let value = add(load(&sums[half..]), load(&residual[half..]));
                let value = match self.options.activation {
                    None => value,
                    Some(Activation::Silu) => swish(value, 1.0),
                    Some(Activation::Relu) => max(value, splat(0.0)),
                };
                store(value, &mut done[half..]);
            }
            output[at..at + panel.count].copy_from_slice(&done[..panel.count]);
        }
    }
}

/// Where eight pixels lie in a frame, and which four of them follow each other.
struct Places {
    places: [usize; COLUMNS],
    runs: [bool; COLUMNS / LANES],
}

impl Places {
    fn new(places: [usize; COLUMNS]) -> Self {
        let is_run = |half: usize| (1..LANES).all(|lane| places[half * LANES + lane] == places[half * LANES] + lane);
        Self { places, runs: std::array::from_fn(is_run) }
    }

    #[inline]
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    fn gather(&self, from: &[f32], to: &mut [f32]) {
        for (half, &is_run) in self.runs.iter().enumerate() {
            let places = &self.places[half * LANES..][..LANES];
            let to = &mut to[half * LANES..];
            if is_run {
                store(load(&from[places[0]..]), to);
            } else {
                to.iter_mut().zip(places).for_each(|(to, &place)| *to = from[place]);
            }
        }
    }
}
