//! Gaussian blurs: a true one for masks, and box blurs in a row for wide ones.

/// Weights from the middle outwards, as many as web UIs take (`2.5` deviations).
fn gaussian(sigma: f64) -> Vec<f64> {
    let radius = (2.5 * sigma + 0.5) as usize;
    let weight = |at: usize| libm::exp(-((at * at) as f64) / (2.0 * sigma * sigma));
    let sum: f64 = (1..=radius).map(weight).sum::<f64>() * 2.0 + 1.0;
    (0..=radius).map(|at| weight(at) / sum).collect()
}

/// The place `at` of a line that is mirrored at its ends, which are not repeated.
fn mirrored(at: isize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as isize - 1);
    let at = at.rem_euclid(period);
    at.min(period - at) as usize
}

/// Blurs a plane of bytes with a Gaussian, across and then down, and rounds in between as OpenCV does.
pub(super) fn gaussian_blur(plane: &[u8], [width, height]: [usize; 2], sigma: f64) -> Vec<u8> {
    let weights = gaussian(sigma);
    let line = |values: &dyn Fn(usize) -> u8, length: usize, at: usize| {
        let value = |offset: isize| f64::from(values(mirrored(at as isize + offset, length)));
        let sum = weights.iter().enumerate().skip(1).fold(value(0) * weights[0], |sum, (offset, weight)| {
            sum + weight * (value(offset as isize) + value(-(offset as isize)))
        });
        sum.round().clamp(0.0, 255.0) as u8
    };
    let across: Vec<u8> =
        (0..width * height).map(|at| line(&|x| plane[at / width * width + x], width, at % width)).collect();
    (0..width * height).map(|at| line(&|y| across[y * width + at % width], height, at / width)).collect()
}

/// The radius of three box blurs in a row that come near a Gaussian (Gwosdek et al., 2011).
fn box_radius(sigma: f64) -> f64 {
    let variance = sigma * sigma / 3.0;
    let whole = ((libm::sqrt(12.0 * variance + 1.0) - 1.0) / 2.0).floor();
    let part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
        / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
    whole + part
}

/// Blurs interleaved values of four channels nearly with a Gaussian; the edges go on beyond the picture.
pub(super) fn wide_blur(values: &[[f32; 4]], [width, height]: [usize; 2], sigma: f64) -> Vec<[f32; 4]> {
    let radius = box_radius(sigma);
    let mut current = values.to_vec();
    for _ in 0..3 {
        for row in current.chunks_exact_mut(width) {
            let line = row.to_vec();
            box_line(&line, radius, |x, value| row[x] = value);
        }
    }
    for x in 0..width {
        let mut line: Vec<[f32; 4]> = (0..height).map(|y| current[y * width + x]).collect();
        for _ in 0..3 {
            let before = line.clone();
            box_line(&before, radius, |y, value| line[y] = value);
        }
        for (y, value) in line.into_iter().enumerate() {
            current[y * width + x] = value;
        }
    }
    current
}

/// The mean over `2 radius + 1` places, whose outermost ones count in part.
fn box_line(line: &[[f32; 4]], radius: f64, mut put: impl FnMut(usize, [f32; 4])) {
    let whole = radius as isize;
    let share = radius - whole as f64;
    let at = |place: isize| line[place.clamp(0, line.len() as isize - 1) as usize].map(f64::from);
    let mut sum = [0.0; 4];
    for place in -whole..=whole {
        sum = add(sum, at(place), 1.0);
    }
    for place in 0..line.len() as isize {
        let edges = add(at(place - whole - 1), at(place + whole + 1), 1.0);
        put(place as usize, add(sum, edges, share).map(|value| (value / (2.0 * radius + 1.0)) as f32));
        sum = add(add(sum, at(place + whole + 1), 1.0), at(place - whole), -1.0);
    }
}

fn add(one: [f64; 4], other: [f64; 4], times: f64) -> [f64; 4] {
    std::array::from_fn(|channel| one[channel] + other[channel] * times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_mirrored_without_their_ends() {
        let mirrored: Vec<usize> = (-4..8).map(|at| mirrored(at, 4)).collect();
        assert_eq!(mirrored, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
    }

    #[test]
    fn a_box_has_the_variance_that_is_asked() {
        let spike: Vec<[f32; 4]> = (0..201).map(|x| [f32::from(u8::from(x == 100)); 4]).collect();
        for sigma in [1.0, 4.0, 16.0] {
            let blurred = wide_blur(&spike, [201, 1], sigma);
            let variance: f64 = (0..).zip(&blurred).map(|(x, v)| f64::from(v[0]) * f64::from(x - 100).powi(2)).sum();
            assert!((variance.sqrt() / sigma - 1.0).abs() < 0.01, "{sigma}: {}", variance.sqrt());
        }
    }
}
