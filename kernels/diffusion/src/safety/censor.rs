//! What is shown in place of a picture that was flagged: the same size, and nothing of it to recognise.

use crate::picture::Picture;

/// The longer side holds this many squares, and this many standard deviations of the blur.
const ACROSS: u32 = 16;
/// Least pixels of a square and of the blur's standard deviation.
const LEAST: u32 = 8;
/// Boxes one after the other, which come close to a Gaussian.
const BOXES: u32 = 3;
/// Where nothing of a picture is left.
const BACKGROUND: [u8; 3] = [96; 3];
/// Of the sentence on it.
const LETTERS: [u8; 3] = [224; 3];
/// Dots around the sentence, at least.
const MARGIN: u32 = 2;
/// The sentence; a number sign is a dot.
#[rustfmt::skip]
const SENTENCE: [&str; 15] = [
    " ###                      #    #      #              ",
    "#   #                          #                     ",
    "#      ###  # ##   ####  ##   ###    ##   #   #  ### ",
    " ###  #   # ##  # #       #    #      #   #   # #   #",
    "    # ##### #   #  ###    #    #      #   #   # #####",
    "#   # #     #   #     #   #    #  #   #    # #  #    ",
    " ###   #### #   # ####   ###    ##   ###    #    ####",
    "                                                     ",
    "                         #                 #         ",
    "                         #                 #         ",
    "       ###   ###  # ##  ###    ###  # ##  ###        ",
    "      #   # #   # ##  #  #    #   # ##  #  #         ",
    "      #     #   # #   #  #    ##### #   #  #         ",
    "      #   # #   # #   #  #  # #     #   #  #  #      ",
    "       ###   ###  #   #   ##   #### #   #   ##       ",
];

/// How a flagged picture is made unrecognisable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Censor {
    /// It is black.
    #[default]
    Black,
    /// It is blurred.
    Blur,
    /// It is made of large squares.
    Pixelate,
    /// A grey picture with a sentence.
    Notice,
}

/// A picture of the same size that may be shown in its place.
pub fn censored(picture: &Picture, kind: Censor) -> Picture {
    let (width, height) = (picture.width, picture.height);
    let cell = width.max(height).div_ceil(ACROSS).max(LEAST);
    match kind {
        Censor::Black => plain(width, height, [0; 3]),
        Censor::Notice => notice(width, height),
        // The mean of so few pixels could be one of them.
        Censor::Blur | Censor::Pixelate if width.max(height) < LEAST => plain(width, height, BACKGROUND),
        Censor::Blur => blurred(picture, cell),
        Censor::Pixelate => pixelated(picture, cell),
    }
}

fn plain(width: u32, height: u32, colour: [u8; 3]) -> Picture {
    Picture { width, height, rgb: colour.repeat(width as usize * height as usize) }
}

/// Both axes three times by boxes that have together the variance of a Gaussian with this standard deviation.
fn blurred(picture: &Picture, deviation: u32) -> Picture {
    let Picture { width, height, rgb } = picture;
    let boxes = f64::from(BOXES);
    let side = (12.0 * f64::from(deviation).powi(2) / boxes + 1.0).sqrt();
    let reach = ((side - 1.0) / 2.0).round() as usize;
    let mut values: Vec<f32> = rgb.iter().copied().map(f32::from).collect();
    for _ in 0..BOXES {
        for (line, starts, step) in axes(*width as usize, *height as usize) {
            starts.for_each(|start| box_mean(&mut values, start, step, line, reach));
        }
    }
    Picture { rgb: values.iter().map(|value| value.round() as u8).collect(), ..*picture }
}

/// Rows and columns: values of a line, where the lines start, and the step within one.
fn axes(width: usize, height: usize) -> [(usize, Box<dyn Iterator<Item = usize>>, usize); 2] {
    let row = width * 3;
    let starts_of_rows = (0..height).flat_map(move |y| (0..3).map(move |channel| y * row + channel));
    [(width, Box::new(starts_of_rows), 3), (height, Box::new(0..row), row)]
}

/// Every value of a line becomes the mean of those within reach, the ends going on beyond the edge.
fn box_mean(values: &mut [f32], start: usize, step: usize, line: usize, reach: usize) {
    let old: Vec<f32> = (0..line).map(|at| values[start + at * step]).collect();
    let at = |index: isize| f64::from(old[index.clamp(0, line as isize - 1) as usize]);
    let reach = reach as isize;
    let mut sum: f64 = (-reach..=reach).map(at).sum();
    for index in 0..line {
        values[start + index * step] = (sum / (2 * reach + 1) as f64) as f32;
        let index = index as isize;
        sum += at(index + reach + 1) - at(index - reach);
    }
}

/// Cells of their mean colour. Both sides are divided evenly, since what is left over at an edge could be a single pixel.
fn pixelated(picture: &Picture, cell: u32) -> Picture {
    let Picture { width, height, rgb } = picture;
    let (width, height) = (*width as usize, *height as usize);
    let bounds = |length: usize| {
        let cells = (length / cell as usize).max(1);
        (0..cells).map(move |index| index * length / cells..(index + 1) * length / cells)
    };
    let mut cells = vec![0; rgb.len()];
    for rows in bounds(height) {
        for columns in bounds(width) {
            let pixels = || rows.clone().flat_map(|y| columns.clone().map(move |x| (y * width + x) * 3));
            let count = (rows.len() * columns.len()) as u64;
            let mean = [0, 1, 2].map(|channel| {
                let sum: u64 = pixels().map(|at| u64::from(rgb[at + channel])).sum();
                ((sum + count / 2) / count) as u8
            });
            pixels().for_each(|at| cells[at..at + 3].copy_from_slice(&mean));
        }
    }
    Picture { rgb: cells, ..*picture }
}

/// The sentence in the middle, as large as it can be in whole pixels a dot; nothing but grey where it has no room.
fn notice(width: u32, height: u32) -> Picture {
    let (columns, rows) = (SENTENCE[0].len() as u32, SENTENCE.len() as u32);
    let dot = (width / (columns + 2 * MARGIN)).min(height / (rows + 2 * MARGIN));
    let mut picture = plain(width, height, BACKGROUND);
    if dot == 0 {
        return picture;
    }
    let (left, top) = ((width - columns * dot) / 2, (height - rows * dot) / 2);
    for (y, row) in (0..rows * dot).zip(SENTENCE.iter().flat_map(|row| (0..dot).map(move |_| row.as_bytes()))) {
        for (x, letter) in (0..columns * dot).zip(row.iter().flat_map(|letter| (0..dot).map(move |_| letter))) {
            if *letter == b'#' {
                let at = ((top + y) as usize * width as usize + (left + x) as usize) * 3;
                picture.rgb[at..at + 3].copy_from_slice(&LETTERS);
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Censor; 4] = [Censor::Blur, Censor::Notice, Censor::Pixelate, Censor::Black];
    const SIZES: [(u32, u32); 9] =
        [(1, 1), (3, 7), (8, 8), (1, 100), (9, 8), (64, 64), (512, 40), (513, 33), (301, 517)];
    const COLOURS: [[u8; 3]; 2] = [[250, 240, 30], [20, 10, 220]];

    fn drawn(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let rgb = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| colour(x, y));
        Picture { width, height, rgb: rgb.collect() }
    }

    fn checkerboard(width: u32, height: u32) -> Picture {
        drawn(width, height, |x, y| COLOURS[((x + y) % 2) as usize])
    }

    /// Mean square of what separates neighbours in a row or a column.
    fn detail(picture: &Picture) -> f64 {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let pixel = |x: usize, y: usize| &picture.rgb[(y * width + x) * 3..][..3];
        let apart =
            |a: &[u8], b: &[u8]| -> f64 { a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum() };
        let mut sum = 0.0;
        for y in 0..height {
            for x in 0..width {
                sum += if x + 1 < width { apart(pixel(x, y), pixel(x + 1, y)) } else { 0.0 };
                sum += if y + 1 < height { apart(pixel(x, y), pixel(x, y + 1)) } else { 0.0 };
            }
        }
        sum / (width * height) as f64
    }

    #[test]
    fn nothing_is_left_of_a_picture_but_its_size() {
        for (width, height) in SIZES {
            let original = checkerboard(width, height);
            for kind in KINDS {
                let censored = censored(&original, kind);
                let shown = format!("{kind:?} of {width} x {height}");
                assert_eq!((censored.width, censored.height), (width, height), "{shown}");
                assert_eq!(censored.rgb.len(), original.rgb.len(), "{shown}");
                let is_same = |(a, b): (&[u8], &[u8])| a == b;
                let mut pairs = censored.rgb.chunks_exact(3).zip(original.rgb.chunks_exact(3));
                assert!(!pairs.any(is_same), "{shown} shows a pixel as it was");
                if matches!(kind, Censor::Blur | Censor::Pixelate) && width * height > 1 {
                    assert!(detail(&censored) < detail(&original) / 1000.0, "{shown}: {}", detail(&censored));
                }
            }
        }
    }

    #[test]
    fn a_shape_of_a_cell_is_not_seen_any_more() {
        // A bright stripe of half a cell.
        let original = drawn(512, 512, |x, _| if (250..266).contains(&x) { [255; 3] } else { [0; 3] });
        for kind in [Censor::Blur, Censor::Pixelate] {
            let brightest = censored(&original, kind).rgb.into_iter().max().unwrap();
            assert!((1..128).contains(&brightest), "{kind:?}: {brightest}");
        }
    }

    #[test]
    fn squares_are_large_and_of_their_mean_colour() {
        let half = |x| if x < 256 { [200, 100, 0] } else { [0, 50, 100] };
        let original = drawn(512, 512, |x, y| half(x).map(|value: u8| value + (y % 2) as u8 * 20));
        let squares = censored(&original, Censor::Pixelate);
        for (at, pixel) in squares.rgb.chunks_exact(3).enumerate() {
            assert_eq!(pixel, half(at as u32 % 512).map(|value| value + 10), "{at}");
        }
    }

    #[test]
    fn what_is_black_is_black_and_the_sentence_is_legible() {
        let original = checkerboard(512, 300);
        assert!(censored(&original, Censor::Black).rgb.iter().all(|&byte| byte == 0));
        for (width, height, dot) in [(512, 300, 8), (64, 64, 1), (512, 40, 2), (4096, 4096, 71)] {
            let dots = SENTENCE.concat().matches('#').count() as u32;
            let lit = notice(width, height).rgb.chunks_exact(3).filter(|pixel| *pixel == LETTERS).count() as u32;
            assert_eq!(lit, dots * dot * dot, "{width} x {height}");
        }
        for (width, height) in [(56, 100), (500, 18), (1, 1)] {
            assert_eq!(notice(width, height), plain(width, height, BACKGROUND));
        }
    }
}
