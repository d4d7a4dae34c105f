//! Other sizes for pictures and latents, by the rules of `PyTorch`'s `interpolate` and of Pillow's `resize`.

use crate::picture::Picture;
use burn::tensor::{Device, Tensor, TensorData};

/// How values between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The pixel that the new one begins in.
    Nearest,
    /// The pixel that the new one's middle is in.
    NearestExact,
    /// Linear between two pixels.
    Bilinear,
    /// Linear between two pixels, the first and the last ones lying on each other: `PyTorch`'s `align_corners`.
    BilinearCorners,
    /// Cubic between four pixels (Keys, 1981), with -0.75 as `PyTorch` has it.
    Bicubic,
    /// Linear, over all pixels that a smaller picture's pixel covers.
    BilinearAntialiased,
    /// Cubic likewise, with -0.5 as Pillow has it.
    BicubicAntialiased,
    /// Three lobes of a windowed sine, over all pixels that are covered: what Pillow calls Lanczos.
    Lanczos,
    /// The mean of what is covered.
    Area,
}

/// The pixels that a new one is made of.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

/// The cubic of Keys with the parameter `a`.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { libm::sin(std::f64::consts::PI * x) / (std::f64::consts::PI * x) };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

impl Filter {
    /// For every one of `output` pixels, what it is made of.
    fn taps(self, input: usize, output: usize) -> Vec<Taps> {
        let scale = input as f64 / output as f64;
        (0..output).map(|index| self.tap([input, output], index as f64, scale)).collect()
    }

    fn tap(self, [input, output]: [usize; 2], index: f64, scale: f64) -> Taps {
        let middle = (index + 0.5) * scale;
        let one = |at: f64| Taps { first: (at as usize).min(input - 1), weights: vec![1.0] };
        match self {
            // In single precision, as the reference multiplies.
            Self::Nearest => one(f64::from(index as f32 * scale as f32)),
            Self::NearestExact => one(middle),
            Self::Bilinear => clamped(input, (middle - 0.5).max(0.0), 0..=1, |x| (1.0 - x.abs()).max(0.0)),
            Self::BilinearCorners => {
                let at = index * (input - 1) as f64 / (output.max(2) - 1) as f64;
                clamped(input, at, 0..=1, |x| (1.0 - x.abs()).max(0.0))
            }
            Self::Bicubic => clamped(input, middle - 0.5, -1..=2, |x| cubic(x, -0.75)),
            Self::BilinearAntialiased => covering(input, middle, scale, 1.0, |x| (1.0 - x.abs()).max(0.0)),
            Self::BicubicAntialiased => covering(input, middle, scale, 2.0, |x| cubic(x, -0.5)),
            Self::Lanczos => covering(input, middle, scale, 3.0, lanczos),
            Self::Area => covered(input, index * scale, (index + 1.0) * scale),
        }
    }
}

/// A fixed number of pixels around `at`, those beyond the edge being the edge's.
fn clamped(input: usize, at: f64, around: std::ops::RangeInclusive<i64>, weight: impl Fn(f64) -> f64) -> Taps {
    let floor = at.floor();
    let inside = |offset: i64| (floor as i64 + offset).clamp(0, input as i64 - 1) as usize;
    let (first, last) = (inside(*around.start()), inside(*around.end()));
    let mut weights = vec![0.0; last - first + 1];
    for offset in around {
        weights[inside(offset) - first] += weight(floor + offset as f64 - at);
    }
    Taps { first, weights }
}

/// All pixels within `radius` new ones of `middle`, or old ones where those are larger.
fn covering(input: usize, middle: f64, scale: f64, radius: f64, weight: impl Fn(f64) -> f64) -> Taps {
    let stretch = scale.max(1.0);
    let first = (middle - radius * stretch + 0.5).max(0.0) as usize;
    let end = ((middle + radius * stretch + 0.5) as usize).clamp(first + 1, input.max(first + 1));
    normalised(first, (first..end).map(|at| weight((at as f64 + 0.5 - middle) / stretch)).collect())
}

/// How much of each pixel lies between two places.
fn covered(input: usize, start: f64, end: f64) -> Taps {
    let first = (start as usize).min(input - 1);
    let last = (end.ceil() as usize).clamp(first + 1, input.max(first + 1));
    normalised(first, (first..last).map(|at| end.min(at as f64 + 1.0) - start.max(at as f64)).collect())
}

fn normalised(first: usize, weights: Vec<f64>) -> Taps {
    let sum: f64 = weights.iter().sum();
    Taps { first, weights: weights.into_iter().map(|weight| weight / sum).collect() }
}

/// Latents or pictures in another size.
///
/// # Shapes
///
/// - input: `[batch, channels, height, width]`
/// - output: `[batch, channels, rows, columns]`
pub fn resize(input: Tensor<4>, [rows, columns]: [usize; 2], filter: Filter) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let device = input.device();
    let across = input.reshape([batch * channels * height, width]).matmul(matrix(filter, width, columns, &device));
    let upright = across.reshape([batch * channels, height, columns]).swap_dims(1, 2);
    let down = upright.reshape([batch * channels * columns, height]).matmul(matrix(filter, height, rows, &device));
    down.reshape([batch * channels, columns, rows]).swap_dims(1, 2).reshape([batch, channels, rows, columns])
}

/// `[input, output]`: each column is what a new pixel is made of.
fn matrix(filter: Filter, input: usize, output: usize, device: &Device) -> Tensor<2> {
    let mut values = vec![0.0_f32; input * output];
    for (column, taps) in filter.taps(input, output).iter().enumerate() {
        for (row, weight) in (taps.first..).zip(&taps.weights) {
            values[row * output + column] = *weight as f32;
        }
    }
    Tensor::from_data(TensorData::new(values, [input, output]), device)
}

/// Interleaved values in another size, across and then down.
///
/// `values` has `channels` for each of `width * height` pixels.
pub(crate) fn resize_values(
    values: &[f32],
    channels: usize,
    [width, height]: [usize; 2],
    [columns, rows]: [usize; 2],
    filter: Filter,
) -> Vec<f32> {
    let mut across = Vec::with_capacity(columns * height * channels);
    let taps = filter.taps(width, columns);
    for line in values.chunks_exact(width * channels) {
        for taps in &taps {
            across.extend((0..channels).map(|channel| {
                let at = |offset: usize| f64::from(line[(taps.first + offset) * channels + channel]);
                taps.weights.iter().enumerate().map(|(offset, weight)| at(offset) * weight).sum::<f64>() as f32
            }));
        }
    }
    let stride = columns * channels;
    let mut down = Vec::with_capacity(stride * rows);
    for taps in filter.taps(height, rows) {
        down.extend((0..stride).map(|x| {
            let at = |offset: usize| f64::from(across[(taps.first + offset) * stride + x]);
            taps.weights.iter().enumerate().map(|(offset, weight)| at(offset) * weight).sum::<f64>() as f32
        }));
    }
    down
}

/// Bytes likewise.
pub(crate) fn resize_bytes(bytes: &[u8], channels: usize, from: [usize; 2], to: [usize; 2], filter: Filter) -> Vec<u8> {
    if from == to {
        return bytes.to_vec();
    }
    let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte)).collect();
    let resized = resize_values(&values, channels, from, to, filter);
    resized.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect()
}

impl Picture {
    /// The picture in another size; neither side may be 0.
    #[must_use]
    pub fn resized(&self, width: u32, height: u32, filter: Filter) -> Self {
        let from = [self.width as usize, self.height as usize];
        let rgb = resize_bytes(&self.rgb, 3, from, [width as usize, height as usize], filter);
        Self { width, height, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Filter; 9] = [
        Filter::BilinearCorners,
        Filter::Nearest,
        Filter::NearestExact,
        Filter::Bilinear,
        Filter::Bicubic,
        Filter::BilinearAntialiased,
        Filter::BicubicAntialiased,
        Filter::Lanczos,
        Filter::Area,
    ];

    #[test]
    fn weights_add_up_to_one_in_any_size() {
        for filter in ALL {
            for (input, output) in [(1, 1), (1, 7), (7, 1), (8, 12), (12, 8), (5, 5), (100, 3), (3, 100)] {
                let taps = filter.taps(input, output);
                assert_eq!(taps.len(), output);
                for taps in taps {
                    let sum: f64 = taps.weights.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-9, "{filter:?} from {input} to {output}: {sum}");
                    assert!(taps.first + taps.weights.len() <= input, "{filter:?} from {input} to {output}");
                }
            }
        }
    }

    #[test]
    fn tensors_and_pictures_are_resized_alike() {
        let picture = Picture { width: 9, height: 5, rgb: (0..9 * 5 * 3).map(|at| (at * 53 % 256) as u8).collect() };
        for filter in ALL {
            let bytes = picture.resized(6, 11, filter);
            let tensor = resize(picture.to_tensor(&Device::flex()), [11, 6], filter);
            let planes: Vec<f32> = ((tensor + 1.0) / 2.0).clamp(0.0, 1.0).into_data().try_to_vec().unwrap();
            let other = Picture::from_planes(&planes, 6, 11);
            assert!(bytes.rgb.iter().zip(&other.rgb).all(|(a, b)| a.abs_diff(*b) <= 1), "{filter:?}");
        }
    }

    #[test]
    fn an_area_is_the_mean_of_what_it_covers() {
        let picture = Picture { width: 3, height: 1, rgb: [[0; 3], [90; 3], [30; 3]].concat() };
        assert_eq!(picture.resized(2, 1, Filter::Area).rgb, [[30; 3], [50; 3]].concat());
    }
}
