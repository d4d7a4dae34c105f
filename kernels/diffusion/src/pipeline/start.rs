//! Where a run starts: from noise, or from a picture.

use super::{InitImage, PipelineRequest, StableDiffusion, inpaint::inpainting_channels, masked::Unmasked};
use crate::scheduler::Schedule;
use burn::tensor::Tensor;

/// Where a run starts.
pub(super) struct Start {
    /// The latents before the first step.
    pub(super) latents: Tensor<4>,
    /// Which step that is.
    pub(super) first: usize,
    /// What must not change.
    pub(super) unmasked: Option<Unmasked>,
    /// Channels that an inpainting model sees behind the latents.
    pub(super) beside: Option<Tensor<4>>,
}

impl StableDiffusion {
    /// Where a run starts: from noise, or from a picture.
    pub(super) fn start(&self, request: &mut PipelineRequest, schedule: &Schedule) -> Start {
        let shape = self.latent_shape(request);
        let Some(init) = request.init.take() else {
            let latents = request.latents.take().unwrap_or_else(|| request.noise.draw(shape, &self.device));
            let latents = latents * schedule.init_noise_sigma();
            return Start { latents, first: 0, unmasked: None, beside: self.all_masked(request) };
        };
        let tiling = request.vae_tiling;
        let encode = |pixels, noise| self.vae.encode(pixels, noise, tiling);
        let InitImage { pixels, latents, strength, noise, mask, mut inpaint } = init;
        let [posterior_noise, noise] =
            noise.unwrap_or_else(|| std::array::from_fn(|_| request.noise.draw(shape, &self.device)));
        let original = latents.unwrap_or_else(|| encode(pixels.clone(), posterior_noise));
        let mask = mask.map(|mask| (inpaint.cells.of(&mask, self.factor), mask)).map(|(cells, mask)| (mask, cells));

        let first = schedule.start(f64::from(strength.get()));
        let beside = self.sees_masks().then(|| {
            let noise = inpaint.masked_noise.take().unwrap_or_else(|| request.noise.draw(shape, &self.device));
            inpainting_channels(encode, &pixels, mask.as_ref().map(|(mask, cells)| (mask, cells)), noise)
        });
        let latents = match &mask {
            // As in the reference: nothing of a masked picture is left at full strength.
            Some(_) if first == 0 && strength.get() >= 1.0 => noise.clone() * schedule.init_noise_sigma(),
            _ if first == schedule.timesteps().len() => original.clone().expand(noise.dims()),
            Some((_, cells)) => {
                let content = inpaint.content.put_into(original.clone(), cells, &noise);
                schedule.add_noise(content, noise.clone(), first)
            }
            None => schedule.add_noise(original.clone(), noise.clone(), first),
        };
        let unmasked = mask.map(|mask| {
            let known = beside.is_none().then_some(original);
            Unmasked::new(mask, pixels, known, noise, &inpaint)
        });
        Start { latents, first, unmasked, beside }
    }

    /// Whether the model is one for inpainting, which sees the mask and what is known beside the latents.
    const fn sees_masks(&self) -> bool {
        self.in_channels == 2 * self.latent_channels + 1
    }

    /// What an inpainting model sees when it draws from nothing: all is masked.
    fn all_masked(&self, request: &mut PipelineRequest) -> Option<Tensor<4>> {
        self.sees_masks().then(|| {
            let (height, width) = (request.size.height() as usize, request.size.width() as usize);
            let noise = request.noise.draw(self.latent_shape(request), &self.device);
            let encode = |pixels, noise| self.vae.encode(pixels, noise, request.vae_tiling);
            inpainting_channels(encode, &Tensor::zeros([1, 3, height, width], &self.device), None, noise)
        })
    }
}
