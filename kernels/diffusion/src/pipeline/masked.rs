//! What a run leaves as it is: the pixels outside a mask and, in a model that was never trained for inpainting, their latents.
//!
//! The way of diffusers' `StableDiffusionInpaintPipeline`. Two things differ unless [`Inpaint`] says otherwise: a cell of the
//! latents is repainted when any of its pixels is (see [`super::MaskCells`]), and the original's pixels are put back in the end.

use super::Inpaint;
use crate::scheduler::Schedule;
use burn::tensor::{Bool, Tensor};

/// The part of a picture that a run leaves as it is.
#[derive(Debug, Clone)]
pub(super) struct Unmasked {
    /// `[1 or batch, 3, height, width]` in 0..1; absent where the decoder's are taken.
    pixels: Option<Tensor<4>>,
    /// How much of a pixel is repainted, 0..1, as large as the pixels.
    repainted: Tensor<4>,
    /// `[1 or batch, channels, rows, columns]`, finished; absent where the model itself sees what is known.
    latents: Option<Tensor<4>>,
    /// Unit noise that they start with.
    noise: Tensor<4>,
    /// Whether a latent cell is repainted, `[1 or batch, 1, rows, columns]`.
    cells: Tensor<4, Bool>,
}

impl Unmasked {
    /// # Shapes
    ///
    /// - mask: `[1 or batch, 1, height, width]`
    /// - cells: `[1 or batch, 1, height / factor, width / factor]`
    /// - pixels: `[1 or batch, 3, height, width]` in -1..1
    /// - latents: `[1 or batch, channels, height / factor, width / factor]`
    /// - noise: `[batch, channels, height / factor, width / factor]`
    pub(super) fn new(
        (mask, cells): (Tensor<4>, Tensor<4, Bool>),
        pixels: Tensor<4>,
        latents: Option<Tensor<4>>,
        noise: Tensor<4>,
        inpaint: &Inpaint,
    ) -> Self {
        let [batch, _, height, width] = mask.dims();
        let [pictures, ..] = pixels.dims();
        let shape = [pictures.max(batch), 3, height, width];
        let pixels = ((pixels + 1.0) / 2.0).clamp(0.0, 1.0).expand(shape);
        Self {
            pixels: inpaint.keeps_pixels.then_some(pixels),
            repainted: mask.clamp(0.0, 1.0).expand(shape),
            latents,
            noise,
            cells,
        }
    }

    /// The sample before step `index`, its unmasked cells as the schedule has them there; past the last step they are finished.
    ///
    /// # Shapes
    ///
    /// - output, sample: `[batch, channels, rows, columns]`
    pub(super) fn put_back(&self, sample: Tensor<4>, schedule: &Schedule, index: usize) -> Tensor<4> {
        let Some(latents) = &self.latents else { return sample };
        let shape = sample.dims();
        let known = if index < schedule.timesteps().len() {
            schedule.add_noise(latents.clone(), self.noise.clone(), index)
        } else {
            latents.clone()
        };
        known.expand(shape).mask_where(self.cells.clone().expand(shape), sample)
    }

    /// Picture `index` of the batch, with the original's own pixels outside the mask, and a share of them where it is soft.
    ///
    /// # Shapes
    ///
    /// - output, image: `[1, 3, height, width]` in 0..1
    pub(super) fn paste(&self, image: Tensor<4>, index: usize) -> Tensor<4> {
        let Some(pixels) = &self.pixels else { return image };
        let [pictures, ..] = pixels.dims();
        let at = index.min(pictures - 1);
        let (original, share) = (pixels.clone().narrow(0, at, 1), self.repainted.clone().narrow(0, at, 1));
        let blended = original.clone() + (image.clone() - original.clone()) * share.clone();
        let blended = blended.mask_where(share.clone().greater_equal_elem(1.0), image);
        blended.mask_where(share.lower_equal_elem(0.0), original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{picture::Picture, pipeline::MaskCells, scheduler::SchedulerConfig};
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
        let noise = tensor([2, 2, 2, 2], |at| -(at as f32));
        let cells = MaskCells::Any.of(&mask, FACTOR);
        Unmasked::new((mask, cells), pixels, Some(latents), noise, &Inpaint::default())
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
            let noised = schedule.add_noise(unmasked.latents.clone().unwrap(), unmasked.noise.clone(), 2);
            for (index, (after, noised)) in after.iter().zip(values(noised)).enumerate() {
                let expected = if index % 4 == 1 { 100.0 } else { noised };
                assert!((after - expected).abs() < 1e-6, "{kind} at {index}: {after} is not {expected}");
            }
            let last = values(unmasked.put_back(sample, &schedule, schedule.timesteps().len()));
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

    #[test]
    fn diffusers_cells_miss_what_is_finer_than_they_are() {
        let mask = tensor([1, 1, 16, 16], |at| f32::from(u8::from(at == 3 * 16 + 12 || at == 8 * 16)));
        let cells = |rule: MaskCells| values(rule.of(&mask, FACTOR).float());
        assert_eq!(cells(MaskCells::Any), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(cells(MaskCells::Corner), [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_soft_mask_blends() {
        let mask = tensor([1, 1, 16, 16], |at| [0.0, 0.25, 1.0, 0.75][at % 4]);
        let (pixels, latents) = (tensor([1, 3, 16, 16], |_| 1.0), tensor([1, 2, 2, 2], |_| 0.0));
        let cells = MaskCells::Any.of(&mask, FACTOR);
        let unmasked = Unmasked::new((mask, cells), pixels, None, latents, &Inpaint::default());
        let pasted = values(unmasked.paste(tensor([1, 3, 16, 16], |_| 0.0), 0));
        assert_eq!(pasted[..4], [1.0, 0.75, 0.0, 0.25]);
    }
}
