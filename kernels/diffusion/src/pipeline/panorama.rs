//! The views of a panorama, and their mean.
//!
//! Every scheduler's step is linear in what the denoiser said, so that one step with the mean of all views is the mean of a step
//! for each, which is how the reference has it. A step's noise, though, is drawn once: the mean of many draws would be less of it.

use burn::tensor::{Tensor, TensorData};

/// Latents along a view, what the models were trained for.
const WINDOW: usize = 64;
/// Latents from one view to the next.
const STRIDE: usize = 8;
/// Latents of the other edge that are decoded beside each edge of a circular picture.
const BESIDE: usize = 8;

/// Overlapping views of latents.
#[derive(Debug, Clone)]
pub(super) struct Views {
    rows: Vec<usize>,
    columns: Vec<usize>,
    size: [usize; 2],
    of: [usize; 2],
}

impl Views {
    /// Views that cover latents of this height and width; the last of a row is moved back where it would stand out.
    pub(super) fn new([height, width]: [usize; 2], is_circular: bool) -> Self {
        let around = (0..width).step_by(STRIDE).collect();
        Self {
            rows: starts(height),
            columns: if is_circular && width > WINDOW { around } else { starts(width) },
            size: [height.min(WINDOW), width.min(WINDOW)],
            of: [height, width],
        }
    }

    /// Where each begins.
    pub(super) fn all(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        self.rows.iter().flat_map(|&row| self.columns.iter().map(move |&column| [row, column]))
    }

    /// What a view shows of `[batch, channels, height, width]`.
    pub(super) fn crop(&self, whole: &Tensor<4>, [row, column]: [usize; 2]) -> Tensor<4> {
        let [height, width] = self.size;
        let rows = whole.clone().narrow(2, row, height);
        let first = width.min(self.of[1] - column);
        let left = rows.clone().narrow(3, column, first);
        if first == width { left } else { Tensor::cat(vec![left, rows.narrow(3, 0, width - first)], 3) }
    }

    /// Adds a view to the sum of all.
    fn add(&self, sum: Tensor<4>, view: &Tensor<4>, [row, column]: [usize; 2]) -> Tensor<4> {
        let [batch, channels, ..] = sum.dims();
        let [height, width] = self.size;
        let first = width.min(self.of[1] - column);
        let parts = [(column, 0, first), (0, first, width - first)];
        parts.into_iter().filter(|(.., count)| *count > 0).fold(sum, |sum, (to, from, count)| {
            let place = [0..batch, 0..channels, row..row + height, to..to + count];
            let more = sum.clone().slice(place.clone()) + view.clone().narrow(3, from, count);
            sum.slice_assign(place, more)
        })
    }

    /// The mean of what is said of each view; no more than one is computed at a time.
    pub(super) fn mean(&self, shape: [usize; 4], of: impl Fn([usize; 2]) -> Tensor<4>) -> Tensor<4> {
        let mut sum = None;
        for start in self.all() {
            let view = of(start);
            let before = sum.unwrap_or_else(|| Tensor::zeros(shape, &view.device()));
            sum = Some(self.add(before, &view, start));
        }
        let sum = sum.expect("there is a view of whatever is there");
        let shares: Vec<f32> = self.counts().into_iter().map(|count| 1.0 / count as f32).collect();
        let [height, width] = self.of;
        let shares = Tensor::<4>::from_data(TensorData::new(shares, [1, 1, height, width]), &sum.device());
        sum * shares
    }

    /// How many views show each latent.
    fn counts(&self) -> Vec<u32> {
        let [height, width] = self.of;
        let mut counts = vec![0; height * width];
        for [row, column] in self.all() {
            for y in row..row + self.size[0] {
                for x in column..column + self.size[1] {
                    counts[y * width + x % width] += 1;
                }
            }
        }
        counts
    }
}

/// Starts of the views along one axis.
fn starts(length: usize) -> Vec<usize> {
    let last = length.saturating_sub(WINDOW);
    let mut starts: Vec<usize> = (0..=last).step_by(STRIDE).collect();
    if !last.is_multiple_of(STRIDE) {
        starts.push(last);
    }
    starts
}

/// Latents with the other edge beside each edge, and how many columns that are.
pub(super) fn surrounded(latents: Tensor<4>) -> (Tensor<4>, usize) {
    let [.., width] = latents.dims();
    let beside = BESIDE.min(width);
    let (left, right) = (latents.clone().narrow(3, 0, beside), latents.clone().narrow(3, width - beside, beside));
    (Tensor::cat(vec![right, latents, left], 3), beside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn ramp(height: usize, width: usize) -> Tensor<4> {
        let values: Vec<f32> = (0..2 * height * width).map(|at| at as f32).collect();
        Tensor::from_data(TensorData::new(values, [1, 2, height, width]), &Device::flex())
    }

    #[test]
    fn views_stand_where_the_reference_has_them_and_leave_nothing_out() {
        let columns = |width, is_circular| Views::new([8, width], is_circular).columns;
        assert_eq!(columns(80, false), [0, 8, 16]);
        assert_eq!(columns(72, true), [0, 8, 16, 24, 32, 40, 48, 56, 64]);
        assert_eq!(columns(64, true), [0]);
        assert_eq!(columns(24, false), [0]);
        assert_eq!(columns(100, false), [0, 8, 16, 24, 32, 36]);
        for (height, width) in [(8, 80), (72, 88), (100, 65), (64, 64), (3, 200)] {
            for is_circular in [false, true] {
                let views = Views::new([height, width], is_circular);
                assert!(views.counts().iter().all(|&count| count > 0), "{height} x {width}, {is_circular}");
            }
        }
    }

    #[test]
    fn the_mean_of_views_of_something_is_itself() {
        for (height, width) in [(8, 80), (70, 68), (4, 100), (16, 24)] {
            for is_circular in [false, true] {
                let (whole, views) = (ramp(height, width), Views::new([height, width], is_circular));
                let mean = views.mean(whole.dims(), |start| views.crop(&whole, start));
                mean.into_data().assert_approx_eq::<f32>(&whole.to_data(), burn::tensor::Tolerance::default());
            }
        }
    }
}
