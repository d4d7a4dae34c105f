//! What a model is given beside its own files, and what its text encoders say.

use crate::{Comparison, Run, cases::Bench, compare};
use anyhow::Result;
use diffusion::pipeline::StableDiffusion;

/// Largest relative error of what text encoders give within a whole run.
const TEXT: f64 = 1e-4;

impl Bench<'_> {
    /// The texts of a run, where what they come to was recorded.
    pub(crate) async fn encoded(&self, pipeline: &StableDiffusion, run: &Run) -> Result<Vec<Comparison>> {
        let mut compared = Vec::new();
        let prompts = [
            (&run.prompts, run.clip_skip.get() as usize, "prompt_embeds", "pooled"),
            (&run.negative_prompts, 1, "negative_prompt_embeds", "negative_pooled"),
        ];
        for (texts, clip_skip, states, pooled) in prompts {
            if !self.recorded.contains_key(states) {
                continue;
            }
            let encoded = pipeline.prompts().encode(texts, clip_skip)?;
            compared.push(compare(encoded.states, &self.recorded, states, TEXT).await?);
            if let Some(found) = encoded.pooled {
                compared.push(compare(found, &self.recorded, pooled, TEXT).await?);
            }
        }
        Ok(compared)
    }
}
