//! Runs with switches on the denoiser, in sizes that the resolutions do not halve evenly.

use super::{Bench, request};
use crate::{Comparison, Run, compare, tensors::tensor};
use anyhow::Result;
use burn::tensor::Tensor;
use diffusion::pipeline::{CancelToken, LoadOptions, PipelineRequest, Silent, StableDiffusion};
use spec::ImageSize;

/// Columns of a picture's left and right edge that are recorded.
const EDGE: usize = 32;

impl Bench<'_> {
    pub(super) async fn switched(&self, model: &str, run: &Run) -> Result<Vec<Comparison>> {
        let pipeline = StableDiffusion::load(&self.data.model(model)?, self.device, LoadOptions::default())?;
        let latents = tensor::<4>(&self.recorded, "latents", self.device)?;
        let [.., height, width] = latents.dims();
        let size = ImageSize::new(8 * width as u32, 8 * height as u32)?;
        let request = PipelineRequest { latents: Some(latents), size, ..request(run)? };
        let generated = Box::pin(pipeline.generate(request, &mut Silent, &CancelToken::default())).await?;
        let mut compared = vec![compare(generated.latents, &self.recorded, "final_latents", self.tolerance).await?];
        if self.recorded.contains_key("edges") {
            let image = generated.image;
            let [.., width] = image.dims();
            let edges = vec![image.clone().narrow(3, 0, EDGE), image.narrow(3, width - EDGE, EDGE)];
            compared.push(compare(Tensor::cat(edges, 3), &self.recorded, "edges", self.tolerance).await?);
        }
        Ok(compared)
    }
}
