//! Inpainting with a model that was never trained for it: what lies outside the mask is put back after every step.
//!
//! The way of diffusers' `StableDiffusionInpaintPipeline` with a UNet of four channels, but for the mask of the latents: a cell
//! is repainted when any of its pixels is, not when the one in its corner is, so that every masked pixel is really drawn.

use crate::scheduler::Schedule;
use burn::tensor::{Bool, Tensor};

/// A pixel is repainted where its mask is above this.
const HALF: f64 = 0.5;

/// The part of a picture that a run leaves as it is.
#[derive(Debug, Clone)]
pub(super) struct Unmasked {
    /// `[1 or batch, 3, height, width]` in 0..1.
    pixels: Tensor<4>,
    /// Whether a pixel is repainted, as large as `pixels`.
    repainted: Tensor<4, Bool>,
    /// `[1 or batch, channels, rows, columns]`, finished.
    latents: Tensor<4>,
    /// Unit noise that they start with.
    noise: Tensor<4>,
    /// Whether a latent cell is repainted, `[1 or batch, 1, rows, columns]`.
    cells: Tensor<4, Bool>,
}

impl Unmasked {
    /// # Shapes
    ///
    /// - mask: `[1 or batch, 1, height, width]`
    /// - pixels: `[1 or batch, 3, height, width]` in -1..1
    /// - latents: `[1 or batch, channels, height / factor, width / factor]`
    /// - noise: `[batch, channels, height / factor, width / factor]`
    pub(super) fn new(
        mask: &Tensor<4>,
        pixels: Tensor<4>,
        latents: Tensor<4>,
        noise: Tensor<4>,
        factor: usize,
    ) -> Self {
        let [batch, _, height, width] = mask.dims();
        let [pictures, ..] = pixels.dims();
        let (rows, columns) = (height / factor, width / factor);
        let cells = mask
            .clone()
            .reshape([batch * rows, factor, columns, factor])
            .max_dim(3)
            .max_dim(1)
            .reshape([batch, 1, rows, columns]);
        let pictures = pictures.max(batch);
        Self {
            pixels: ((pixels + 1.0) / 2.0).clamp(0.0, 1.0).expand([pictures, 3, height, width]),
            repainted: mask.clone().expand([pictures, 3, height, width]).greater_elem(HALF),
            latents,
            noise,
            cells: cells.greater_elem(HALF),
        }
    }

    /// The sample before step `index`, its unmasked cells as the schedule has them there; past the last step they are finished.
    ///
    /// # Shapes
    ///
    /// - output, sample: `[batch, channels, rows, columns]`
    pub(super) fn put_back(&self, sample: Tensor<4>, schedule: &Schedule, index: usize) -> Tensor<4> {
        let shape = sample.dims();
        let known = if index < schedule.timesteps().len() {
            schedule.add_noise(self.latents.clone(), self.noise.clone(), index)
        } else {
            self.latents.clone()
        };
        known.expand(shape).mask_where(self.cells.clone().expand(shape), sample)
    }

    /// Picture `index` of the batch, with the original's own pixels outside the mask.
    ///
    /// # Shapes
    ///
    /// - output, image: `[1, 3, height, width]` in 0..1
    pub(super) fn paste(&self, image: Tensor<4>, index: usize) -> Tensor<4> {
        let of = |batch: usize| index.min(batch - 1);
        let [pictures, ..] = self.pixels.dims();
        let original = self.pixels.clone().narrow(0, of(pictures), 1);
        original.mask_where(self.repainted.clone().narrow(0, of(pictures), 1), image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{picture::Picture, scheduler::SchedulerConfig};
    use burn::tensor::{Device, TensorData};
    use spec::SchedulerKind;

    const FACTOR: usize = 8;

    fn tensor(shape: [usize; 4], value: impl Fn(usize) -> f32) -> Tensor<4> {
        let count = shape.iter().product();
        Tensor::from_data(TensorData::new((0..count).map(value).collect(), shape), &Device::flex())
    }

    /// 16 x 16 pixels of which one is masked, in the second cell of the first row, not in its corner.
    fn one_pixel() -> Unmasked {
        let mask = tensor([1, 1, 16, 16], |at| f32::from(u8::from(at == 3 * 16 + 12)));
        let pixels = tensor([1, 3, 16, 16], |at| (at % 256) as f32 / 127.5 - 1.0);
        let latents = tensor([1, 2, 2, 2], |at| at as f32);
        Unmasked::new(&mask, pixels, latents, tensor([2, 2, 2, 2], |at| -(at as f32)), FACTOR)
    }

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_cell_with_one_masked_pixel_is_repainted_and_the_others_are_put_back() {
        let config = SchedulerConfig::from_json("{}").unwrap();
        for kind in SchedulerKind::ALL {
            let schedule = Schedule::new(*kind, &config, 4).unwrap();
            let sample = tensor([2, 2, 2, 2], |_| 100.0);
            let unmasked = one_pixel();
            let after = values(unmasked.put_back(sample.clone(), &schedule, 2));
            let noised = schedule.add_noise(unmasked.latents.clone(), unmasked.noise.clone(), 2);
            for (index, (after, noised)) in after.iter().zip(values(noised)).enumerate() {
                let expected = if index % 4 == 1 { 100.0 } else { noised };
                assert!((after - expected).abs() < 1e-6, "{kind} at {index}: {after} is not {expected}");
            }
            let last = values(unmasked.put_back(sample, &schedule, 4));
            assert_eq!(last[..8], [0.0, 100.0, 2.0, 3.0, 4.0, 100.0, 6.0, 7.0], "{kind}");
        }
    }

    #[test]
    fn pixels_outside_the_mask_are_the_originals_bytes() {
        let pasted = one_pixel().paste(tensor([1, 3, 16, 16], |_| 0.5), 1);
        let picture = Picture::from_planes(&values(pasted), 16, 16);
        for (at, pixel) in picture.rgb.chunks_exact(3).enumerate() {
            let expected = if at == 3 * 16 + 12 { 128 } else { at as u8 };
            assert_eq!(pixel, [expected; 3], "pixel {at}");
        }
    }
}
