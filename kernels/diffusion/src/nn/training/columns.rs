//! Pictures as the columns of a matrix, one for each place of the kernel, and back.

use super::ConvShape;

/// For one row of the output: where it starts reading, and which of its pixels lie inside the picture.
struct Span {
    first: usize,
    last: usize,
    source: usize,
}

fn span(shape: &ConvShape, out_width: usize, row: usize, ky: usize, kx: usize) -> Option<Span> {
    let y = (row * shape.stride + ky).checked_sub(shape.padding).filter(|&y| y < shape.height)?;
    let first = shape.padding.saturating_sub(kx).div_ceil(shape.stride).min(out_width);
    let room = (shape.width + shape.padding).saturating_sub(kx);
    let last = room.div_ceil(shape.stride).clamp(first, out_width);
    (first < last).then(|| Span { first, last, source: y * shape.width + first * shape.stride + kx - shape.padding })
}

/// Writes `[input * kernel * kernel, samples * out_height * out_width]`, with rows that begin `stride` values apart.
pub fn unfold(pictures: &[f32], columns: &mut [f32], stride: usize, shape: &ConvShape, samples: usize) {
    let (out_height, out_width) = shape.output_sides();
    let (plane, area) = (shape.height * shape.width, out_height * out_width);
    let mut rows = columns.chunks_exact_mut(stride);
    for channel in 0..shape.input {
        for place in 0..shape.kernel * shape.kernel {
            let (ky, kx) = (place / shape.kernel, place % shape.kernel);
            let Some(line) = rows.next() else { return };
            for (sample, to) in line.chunks_exact_mut(area).take(samples).enumerate() {
                let from = &pictures[(sample * shape.input + channel) * plane..][..plane];
                for (row, to) in to.chunks_exact_mut(out_width).enumerate() {
                    let Some(Span { first, last, source }) = span(shape, out_width, row, ky, kx) else {
                        to.fill(0.0);
                        continue;
                    };
                    to[..first].fill(0.0);
                    to[last..].fill(0.0);
                    let to = &mut to[first..last];
                    if shape.stride == 1 {
                        to.copy_from_slice(&from[source..source + to.len()]);
                    } else {
                        to.iter_mut()
                            .zip(from[source..].iter().step_by(shape.stride))
                            .for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }
}

/// Adds columns to the pixels that they were read from.
#[inline(always)]
pub fn fold(columns: &[f32], stride: usize, pictures: &mut [f32], shape: &ConvShape, samples: usize) {
    let (out_height, out_width) = shape.output_sides();
    let (plane, area) = (shape.height * shape.width, out_height * out_width);
    let mut rows = columns.chunks_exact(stride);
    for channel in 0..shape.input {
        for place in 0..shape.kernel * shape.kernel {
            let (ky, kx) = (place / shape.kernel, place % shape.kernel);
            let Some(line) = rows.next() else { return };
            for (sample, from) in line.chunks_exact(area).take(samples).enumerate() {
                let to = &mut pictures[(sample * shape.input + channel) * plane..][..plane];
                for (row, from) in from.chunks_exact(out_width).enumerate() {
                    let Some(Span { first, last, source }) = span(shape, out_width, row, ky, kx) else { continue };
                    let from = &from[first..last];
                    if shape.stride == 1 {
                        let to = &mut to[source..source + from.len()];
                        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                    } else {
                        let to = to[source..].iter_mut().step_by(shape.stride);
                        to.zip(from).for_each(|(to, from)| *to += from);
                    }
                }
            }
        }
    }
}
