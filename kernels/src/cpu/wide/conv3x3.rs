//! 3 x 3 convolutions: panels of 32 pixels, unfolded a few channels at a time, against tiles of the packed matrix.

use super::{
    Level,
    division::{Panel, Part, panels, parts},
    functions::{swish_all, write},
    shared::Shared,
    tile::{COLUMNS, ROWS, Sums, accumulate},
};
use crate::{conv3x3::Activation, cpu::conv3x3::Convolution};
use rayon::prelude::*;

/// Channels that are unfolded at once: 18 KiB of a panel stay in the nearest cache.
const CHANNELS: usize = 16;
/// Places of a kernel.
const KERNEL: usize = 9;
/// Bytes of the sums that a thread works on at once.
const SUMS: usize = 512 << 10;
/// Panels that are unfolded at once, at most.
const PANELS: usize = 32;
/// Pixels that are copied at once where they follow each other.
const RUN: usize = 8;

/// The convolution; see [`Convolution`].
pub fn output(convolution: &Convolution<'_>, level: Level) -> Vec<f32> {
    let area = convolution.rows * convolution.columns;
    let mut output = vec![0.0; convolution.batch * convolution.outputs * area];
    let tiles = convolution.outputs.div_ceil(ROWS);
    let at_once = (SUMS / (tiles * size_of::<Sums>()).max(1)).clamp(4, PANELS);
    let panels = panels(convolution.batch, area);
    let shared = Shared::new(&mut output);
    let parts = parts(&panels, tiles, at_once, rayon::current_num_threads());
    parts
        .par_iter()
        .for_each_init(Scratch::default, |scratch, part| part_of(convolution, part, &shared, scratch, level));
    output
}

/// Room that a thread keeps.
#[derive(Default)]
struct Scratch {
    frame: Vec<f32>,
    places: Vec<Places>,
    unfolded: Vec<f32>,
    /// `[panel, tile, row, column]`.
    sums: Vec<f32>,
}

fn part_of(convolution: &Convolution<'_>, part: &Part<'_>, output: &Shared<'_>, scratch: &mut Scratch, level: Level) {
    let Scratch { frame, places, unfolded, sums } = scratch;
    let tiles = part.tiles.len();
    unfolded.resize(CHANNELS * KERNEL * COLUMNS, 0.0);
    sums.resize(part.panels.len() * tiles * size_of::<Sums>() / size_of::<f32>(), 0.0);
    let (sums, _) = sums.as_chunks_mut::<{ ROWS * COLUMNS }>();
    for (panel, sums) in part.panels.iter().zip(sums.chunks_exact_mut(tiles)) {
        start(convolution, *panel, part, sums);
    }
    let (first, last) = (part.panels[0], part.panels[part.panels.len() - 1]);
    let step = 1 + usize::from(convolution.options.halve);
    let top = first.first / convolution.columns * step;
    let bottom = (last.first + last.count - 1) / convolution.columns * step + 3;
    let stride = convolution.stride();
    places.clear();
    places.extend(part.panels.iter().map(|panel| Places::new(convolution, *panel, top, stride)));
    for channel in (0..convolution.channels).step_by(CHANNELS) {
        let channels = CHANNELS.min(convolution.channels - channel);
        let of_picture = channel..channel + channels;
        convolution.framed(first.picture, of_picture, top..bottom, frame);
        for (places, sums) in places.iter().zip(sums.chunks_exact_mut(tiles)) {
            places.unfold(frame, (bottom - top) * stride, stride, channels, unfolded);
            for (tile, sums) in part.tiles.clone().zip(sums) {
                let weight = &convolution.weight[(tile * convolution.channels + channel) * KERNEL * ROWS..];
                accumulate(level, weight, unfolded, sums, channels * KERNEL);
            }
        }
    }
    for (panel, sums) in part.panels.iter().zip(sums.chunks_exact_mut(tiles)) {
        for (tile, sums) in part.tiles.clone().zip(sums) {
            finish(convolution, *panel, tile, sums, output, level);
        }
    }
}

/// The bias of every tile.
fn start(convolution: &Convolution<'_>, panel: Panel, part: &Part<'_>, sums: &mut [Sums]) {
    let outputs = convolution.bias.len() / convolution.biases;
    let bias = &convolution.bias[panel.picture % convolution.biases * outputs..][..outputs];
    for (tile, sums) in part.tiles.clone().zip(sums) {
        for (sums, &bias) in sums.chunks_exact_mut(COLUMNS).zip(&bias[tile * ROWS..]) {
            sums.fill(bias);
        }
    }
}

/// Activation, residual, and the way to where the outputs belong.
fn finish(
    convolution: &Convolution<'_>,
    panel: Panel,
    tile: usize,
    sums: &mut Sums,
    output: &Shared<'_>,
    level: Level,
) {
    let area = convolution.rows * convolution.columns;
    let first = tile * ROWS;
    for (row, sums) in sums.chunks_exact_mut(COLUMNS).take(convolution.outputs - first).enumerate() {
        let at = (panel.picture * convolution.outputs + first + row) * area + panel.first;
        let residual = convolution.residual.map(|residual| &residual[at..at + panel.count]);
        // SAFETY: no other part has this tile of this panel.
        let to = unsafe { output.part(at, panel.count) };
        write(level, &sums[..panel.count], residual, to);
        match convolution.options.activation {
            None => {}
            Some(Activation::Silu) => swish_all(level, to, 1.0),
            Some(Activation::Relu) => to.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value }),
        }
    }
}

/// Where a panel's pixels lie in a frame, and which eight of them follow each other.
struct Places {
    places: [usize; COLUMNS],
    runs: [bool; COLUMNS / RUN],
}

impl Places {
    fn new(convolution: &Convolution<'_>, panel: Panel, top: usize, stride: usize) -> Self {
        let step = 1 + usize::from(convolution.options.halve);
        let places: [usize; COLUMNS] = std::array::from_fn(|pixel| {
            // Beyond the picture's end the last pixel stands in.
            let pixel = panel.first + pixel.min(panel.count - 1);
            (pixel / convolution.columns * step - top) * stride + pixel % convolution.columns * step
        });
        let is_run = |run: usize| (1..RUN).all(|at| places[run * RUN + at] == places[run * RUN] + at);
        Self { places, runs: std::array::from_fn(is_run) }
    }

    /// What lies under the kernel at every pixel of the panel: `[channel, place, pixel]`.
    fn unfold(&self, frame: &[f32], plane: usize, stride: usize, channels: usize, unfolded: &mut [f32]) {
        let (rows, _) = unfolded.as_chunks_mut::<COLUMNS>();
        for (index, pixels) in rows.iter_mut().take(channels * KERNEL).enumerate() {
            let (channel, place) = (index / KERNEL, index % KERNEL);
            self.gather(&frame[channel * plane + place / 3 * stride + place % 3..], pixels);
        }
    }

    #[inline]
    fn gather(&self, from: &[f32], to: &mut [f32; COLUMNS]) {
        let (runs, _) = to.as_chunks_mut::<RUN>();
        for ((to, places), &is_run) in runs.iter_mut().zip(self.places.as_chunks::<RUN>().0).zip(&self.runs) {
            if is_run {
                *to = *from[places[0]..].first_chunk().expect("the frame has room behind its last row");
            } else {
                to.iter_mut().zip(places).for_each(|(to, &place)| *to = from[place]);
            }
        }
    }
}
