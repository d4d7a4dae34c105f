//! A picture as CLIP takes it: transformers' `CLIPImageProcessor`, down to Pillow's fixed-point resampling.

use crate::picture::Picture;
use burn::tensor::{Device, Tensor, TensorData};

/// Mean of each channel that CLIP was trained with.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of each.
const DEVIATION: [f32; 3] = [0.268_629_55, 0.261_302_6, 0.275_777_1];

/// Reach of the bicubic filter.
const SUPPORT: f64 = 2.0;
/// Bits behind the point of a filter's weights.
const PRECISION: u32 = 22;

/// The middle square of a picture whose shorter side is resampled to `side`, normalised.
///
/// # Shapes
///
/// - output: `[1, 3, side, side]`
///
/// # Panics
///
/// When the picture or the side is empty.
pub fn clip_input(picture: &Picture, side: usize, device: &Device) -> Tensor<4> {
    let rgb = square(picture, side);
    let mut values = Vec::with_capacity(3 * side * side);
    for channel in 0..3 {
        values.extend(rgb.iter().skip(channel).step_by(3).map(|&byte| {
            let value = (f64::from(byte) / 255.0) as f32;
            (value - MEAN[channel]) / DEVIATION[channel]
        }));
    }
    Tensor::from_data(TensorData::new(values, [1, 3, side, side]), device)
}

/// The bytes of the middle square; nothing beside it is computed, however long the picture is.
fn square(picture: &Picture, side: usize) -> Vec<u8> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let shorter = width.min(height);
    let across = Taps::new(width, width * side / shorter, side);
    let down = Taps::new(height, height * side / shorter, side);
    let rows =
        |bytes: &[u8]| -> Vec<u8> { bytes.chunks_exact(width * 3).flat_map(|row| across.along(row, 3)).collect() };
    // A column of whole rows is one axis whose positions are as long as a row. Bytes are rounded in between, so that the order
    // tells: Pillow 13 begins with the columns of high pictures.
    if height > 2 * width && shorter > side {
        rows(&down.along(&picture.rgb, width * 3))
    } else {
        down.along(&rows(&picture.rgb), side * 3)
    }
}

/// Which inputs make each output, and with which weights.
struct Taps {
    outputs: Vec<(usize, Vec<i64>)>,
}

impl Taps {
    /// From so many positions to so many, of which the middle `side` are wanted: bicubic, over a longer reach where the
    /// picture shrinks.
    fn new(from: usize, to: usize, side: usize) -> Self {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let reach = SUPPORT * stretch;
        let first_wanted = (to - side) / 2;
        let outputs = (first_wanted..first_wanted + side).map(|index| {
            if from == to {
                return (index, vec![1 << PRECISION]);
            }
            let centre = (index as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end).map(|at| bicubic((at as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.iter().map(|weight| fixed(weight / sum)).collect())
        });
        Self { outputs: outputs.collect() }
    }

    /// Resamples one axis, each of whose positions holds `values` bytes.
    fn along(&self, bytes: &[u8], values: usize) -> Vec<u8> {
        let mut result = Vec::with_capacity(self.outputs.len() * values);
        for (first, weights) in &self.outputs {
            for value in 0..values {
                let inputs = bytes[first * values + value..].iter().step_by(values);
                let sum: i64 = inputs.zip(weights).map(|(&byte, weight)| i64::from(byte) * weight).sum();
                result.push(((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8);
            }
        }
        result
    }
}

/// A weight in whole steps of 2^-22, rounded away from 0.
fn fixed(weight: f64) -> i64 {
    (weight * f64::from(1 << PRECISION)).round() as i64
}

/// Keys' cubic convolution (1981) with a = -1/2.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(width: u32, height: u32, side: usize) -> Vec<f32> {
        let picture = Picture { width, height, rgb: [10, 200, 30].repeat((width * height) as usize) };
        clip_input(&picture, side, &Device::flex()).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn one_colour_stays_what_it_was_in_every_shape() {
        for (width, height) in [(1, 1), (7, 1000), (1000, 7), (14, 14), (13, 29)] {
            let values = values(width, height, 14);
            assert_eq!(values.len(), 3 * 14 * 14);
            for (channel, byte) in [10.0, 200.0, 30.0].into_iter().enumerate() {
                let expected = (byte / 255.0 - MEAN[channel]) / DEVIATION[channel];
                for value in &values[channel * 196..(channel + 1) * 196] {
                    assert!((value - expected).abs() < 1e-6, "{width} x {height}: {value} is not {expected}");
                }
            }
        }
    }
}
