//! Cases of networks that steer.

use crate::{Comparison, ControlRun, Run, cases::Bench, cases::request, compare, tensors::tensor};
use anyhow::Result;
use diffusion::pipeline::{
    Control, Hires, HiresUpscale, InitImage, Inpaint, LoadOptions, MaskCells, PipelineRequest, StableDiffusion,
};
use diffusion::resample::Filter;
use diffusion::upscale::Upscaler;
use spec::{ImageSize, Steps};
use std::sync::Arc;

impl Bench<'_> {
    pub(crate) async fn upscale(&self, folder: &str, networks: &[String]) -> Result<Vec<Comparison>> {
        let image = tensor::<4>(&self.recorded, "image", self.device)?;
        let mut compared = Vec::new();
        for network in networks {
            let file = self.data.component(&format!("{folder}/{network}.safetensors"))?;
            let upscaler = Upscaler::load(&*file.source, self.device, false)?;
            let output = upscaler.forward(image.clone());
            compared.push(compare(output, &self.recorded, network, self.tolerance).await?);
        }
        Ok(compared)
    }

    pub(crate) async fn hires(&self, model: &str, run: &Run, steps: Steps, size: ImageSize) -> Result<Vec<Comparison>> {
        let pipeline = StableDiffusion::load(&self.data.model(model)?, self.device, LoadOptions::default())?;
        let latents = Some(tensor(&self.recorded, "latents", self.device)?);
        let hires = Some(Hires {
            size,
            steps: Some(steps),
            strength: run.strength,
            upscale: HiresUpscale::Latents(Filter::BilinearAntialiased),
            noise: Some(tensor(&self.recorded, "noise", self.device)?),
        });
        Box::pin(self.generated(&pipeline, PipelineRequest { latents, hires, ..request(run)? })).await
    }

    /// The reference takes a mask's corners, draws noise three times, and leaves the decoder's pixels everywhere.
    pub(crate) async fn inpaint(&self, model: &str, run: &Run) -> Result<Vec<Comparison>> {
        let pipeline = StableDiffusion::load(&self.data.model(model)?, self.device, LoadOptions::default())?;
        let recorded = |name| tensor::<4>(&self.recorded, name, self.device);
        let masked_noise = Some(recorded("masked_noise")?);
        let inpaint = Inpaint { cells: MaskCells::Corner, keeps_pixels: false, masked_noise, ..Inpaint::default() };
        let init = Some(InitImage {
            pixels: recorded("image_in")? * 2.0 - 1.0,
            latents: None,
            strength: run.strength,
            noise: Some([recorded("posterior_noise")?, recorded("noise")?]),
            mask: Some(recorded("mask")?),
            inpaint,
        });
        Box::pin(self.generated(&pipeline, PipelineRequest { init, ..request(run)? })).await
    }

    pub(crate) async fn controlnet(&self, model: &str, run: &Run, controls: &[ControlRun]) -> Result<Vec<Comparison>> {
        let pipeline = StableDiffusion::load(&self.data.model(model)?, self.device, LoadOptions::default())?;
        let controls = controls.iter().map(|control| {
            let ControlRun { weight, start, end, guess_mode, .. } = *control;
            let net = Arc::new(self.data.controlnet(&control.folder)?.load(self.device, false)?);
            let picture = tensor(&self.recorded, &control.picture, self.device)?;
            Ok(Control { weight, start, end, guess_mode, ..Control::new(net, picture) })
        });
        let controls = controls.collect::<Result<_>>()?;
        let latents = Some(tensor(&self.recorded, "latents", self.device)?);
        Box::pin(self.generated(&pipeline, PipelineRequest { latents, controls, ..request(run)? })).await
    }
}
