//! Pictures as the columns of a matrix, one for each place of the kernel, and back.

use super::{ConvShape, lanes::add};

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

/// Calls `visit` for each row of the output, in each row of the matrix of columns: with the row's first index there, the first
/// index of the channel that it is read from, and what of it lies inside.
#[inline(always)]
fn walk(shape: &ConvShape, stride: usize, samples: usize, mut visit: impl FnMut(usize, usize, Option<Span>)) {
    let (out_height, out_width) = shape.output_sides();
    for channel in 0..shape.input {
        for place in 0..shape.kernel * shape.kernel {
            let (ky, kx) = (place / shape.kernel, place % shape.kernel);
            let line = (channel * shape.kernel * shape.kernel + place) * stride;
            for sample in 0..samples {
                let plane = (sample * shape.input + channel) * shape.height * shape.width;
                for row in 0..out_height {
                    let at = line + (sample * out_height + row) * out_width;
                    visit(at, plane, span(shape, out_width, row, ky, kx));
                }
            }
        }
    }
}

/// Writes `[input * kernel * kernel, samples * out_height * out_width]`, with rows that begin `stride` values apart.
pub fn unfold(pictures: &[f32], columns: &mut [f32], stride: usize, shape: &ConvShape, samples: usize) {
    let (_, out_width) = shape.output_sides();
    walk(shape, stride, samples, |at, plane, span| {
        let to = &mut columns[at..at + out_width];
        let Some(Span { first, last, source }) = span else { return to.fill(0.0) };
        to[..first].fill(0.0);
        to[last..].fill(0.0);
        let (to, from) = (&mut to[first..last], &pictures[plane + source..]);
        if shape.stride == 1 {
            to.copy_from_slice(&from[..to.len()]);
        } else {
            to.iter_mut().zip(from.iter().step_by(shape.stride)).for_each(|(to, from)| *to = *from);
        }
    });
}

/// Adds columns to the pixels that they were read from.
#[inline(always)]
pub fn fold(columns: &[f32], stride: usize, pictures: &mut [f32], shape: &ConvShape, samples: usize) {
    walk(
        shape,
        stride,
        samples,
        #[inline(always)]
        |at, plane, span| {
            let Some(Span { first, last, source }) = span else { return };
            let (from, to) = (&columns[at + first..at + last], &mut pictures[plane + source..]);
            if shape.stride == 1 {
                add(&mut to[..from.len()], from);
            } else {
                to.iter_mut().step_by(shape.stride).zip(from).for_each(|(to, from)| *to += from);
            }
        },
    );
}
