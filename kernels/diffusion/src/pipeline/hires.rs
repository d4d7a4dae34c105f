//! A small picture first, and then a large one that starts from it: what web UIs call the highres fix.
//!
//! The first pass finds the composition in the size that a model knows; the second draws the details.

use super::{Control, GenerateError, InitImage, Inpaint, PipelineRequest};
use crate::{
    picture::Picture,
    resample::{Filter, resize},
    upscale::{UpscaleError, UpscaleTiles, Upscaler},
};
use burn::tensor::{Device, Tensor};
use spec::{ImageSize, Steps, Strength};
use std::sync::Arc;

/// What stands between the two passes.
#[derive(Debug, Clone)]
pub enum HiresUpscale {
    /// Latents are enlarged.
    Latents(Filter),
    /// Pictures are decoded, enlarged and encoded.
    Pictures(Filter),
    /// Pictures are decoded, enlarged by a network, brought to the size that is asked, and encoded.
    Network(Arc<Upscaler>, UpscaleTiles),
}

/// A second pass over larger pictures.
#[derive(Debug, Clone)]
pub struct Hires {
    /// Size of the finished pictures.
    pub size: ImageSize,
    /// Steps of the second pass, of which a share of `strength` is taken; as many as the first's when absent.
    pub steps: Option<Steps>,
    /// How much is drawn anew.
    pub strength: Strength,
    /// What enlarges.
    pub upscale: HiresUpscale,
    /// Unit noise of the second pass; drawn when absent.
    pub noise: Option<Tensor<4>>,
}

impl Hires {
    /// The size that is `scale` times another, both sides the nearest multiples of `multiple`.
    ///
    /// # Errors
    /// When no picture can be as large.
    pub fn scaled(size: ImageSize, scale: f64, multiple: u32) -> Result<ImageSize, spec::SpecError> {
        let multiple = multiple.max(1);
        let side = |side: u32| {
            let parts = (f64::from(side) * scale / f64::from(multiple)).round().clamp(1.0, f64::from(u16::MAX));
            parts as u32 * multiple
        };
        ImageSize::new(side(size.width()), side(size.height()))
    }

    /// The second pass of a run, without what it starts from.
    pub(super) fn second(&self, request: &PipelineRequest) -> PipelineRequest {
        let sides = [self.size.height() as usize, self.size.width() as usize];
        let control = |control: &Control| Control {
            picture: resize(control.picture.clone(), sides, Filter::BilinearAntialiased),
            ..control.clone()
        };
        PipelineRequest {
            size: self.size,
            steps: self.steps.unwrap_or(request.steps),
            controls: request.controls.iter().map(control).collect(),
            init: None,
            latents: None,
            hires: None,
            ..request.clone()
        }
    }

    /// What the second pass starts from: pictures, or latents with nothing in the pictures' place.
    pub(super) fn init(&self, pixels: Option<Tensor<4>>, latents: Option<Tensor<4>>, device: &Device) -> InitImage {
        let (height, width) = (self.size.height() as usize, self.size.width() as usize);
        let pixels = pixels.unwrap_or_else(|| Tensor::zeros([1, 3, height, width], device));
        let noise = self.noise.clone().map(|noise| [noise.clone(), noise]);
        InitImage { pixels, latents, strength: self.strength, noise, mask: None, inpaint: Inpaint::default() }
    }

    /// A picture of the first pass in the size of the second; `is_cancelled` is asked before every tile.
    pub(super) async fn enlarged(
        &self,
        picture: &Picture,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Picture, GenerateError> {
        let (width, height) = (self.size.width(), self.size.height());
        match &self.upscale {
            HiresUpscale::Latents(filter) | HiresUpscale::Pictures(filter) => {
                Ok(picture.resized(width, height, *filter))
            }
            HiresUpscale::Network(network, tiles) => {
                let large =
                    network.upscale(picture, *tiles, |_, _| !is_cancelled()).await.map_err(|error| match error {
                        UpscaleError::Cancelled => GenerateError::Cancelled,
                        UpscaleError::Device(error) => GenerateError::Device(error),
                        UpscaleError::TooLarge { width, height, .. } => {
                            GenerateError::Size { width, height, multiple: 1 }
                        }
                    })?;
                Ok(large.resized(width, height, Filter::Lanczos))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_gives_sides_that_the_model_takes() {
        let size = |width, height| ImageSize::new(width, height).unwrap();
        assert_eq!(Hires::scaled(size(512, 768), 1.5, 64).unwrap(), size(768, 1152));
        assert_eq!(Hires::scaled(size(512, 512), 1.3, 64).unwrap(), size(640, 640));
        assert_eq!(Hires::scaled(size(64, 64), 0.1, 32).unwrap(), size(32, 32));
        assert!(Hires::scaled(size(512, 512), 1e9, 64).is_err());
        assert!(Hires::scaled(size(512, 512), f64::NAN, 64).is_err());
    }
}
