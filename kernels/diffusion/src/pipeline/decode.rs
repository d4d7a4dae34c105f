//! From finished latents to pictures.

use super::{
    CancelToken, GenerateError, Generated, Observer, StableDiffusion, denoise::Denoised, panorama::surrounded,
    preview::pictures_of, run::Run,
};
use crate::vae::TilingMode;
use burn::tensor::Tensor;
use spec::Phase;

impl StableDiffusion {
    /// Pictures of finished latents.
    pub(super) async fn decode(
        &self,
        denoised: Denoised,
        observer: &mut impl Observer,
        cancel: &CancelToken,
    ) -> Result<Generated, GenerateError> {
        let Denoised { latents, unmasked, tiling, is_circular, seamless, .. } = denoised;
        let [batch, ..] = latents.dims();
        let mut run = Run::new(observer, cancel);
        run.begin(Phase::Decoding, batch as u32).await?;
        let mut images = Vec::with_capacity(batch);
        let mut pictures = Vec::with_capacity(batch);
        // One picture at a time: the decoder's activations are the largest of the whole run.
        for index in 0..batch {
            let one = latents.clone().narrow(0, index, 1);
            let image = seamless.within(|| self.decoded(one, is_circular, tiling));
            let image = (image / 2.0 + 0.5).clamp(0.0, 1.0);
            let image = match &unmasked {
                Some(unmasked) => unmasked.paste(image, index),
                None => image,
            };
            pictures.extend(pictures_of(image.clone()).await?);
            images.push(image);
            run.step(index as u32 + 1).await?;
        }
        Ok(Generated { latents, image: Tensor::cat(images, 0), pictures })
    }

    /// One picture in -1..1.
    fn decoded(&self, latents: Tensor<4>, is_circular: bool, tiling: TilingMode) -> Tensor<4> {
        if !is_circular {
            return self.vae.decode(latents, tiling);
        }
        let [.., columns] = latents.dims();
        let (latents, beside) = surrounded(latents);
        let image = self.vae.decode(latents, tiling);
        image.narrow(3, beside * self.factor, columns * self.factor)
    }
}
