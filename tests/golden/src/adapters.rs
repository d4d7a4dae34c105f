//! What a model is given beside its own files, and what its text encoders say.

use crate::{Comparison, LoraRun, Run, cases::Bench, compare};
use anyhow::{Context as _, Result};
use diffusion::{
    adapters::{Adapters, Embedding, Lora, WeightedLora},
    pipeline::{LoadOptions, Loading, ModelFiles, Part, StableDiffusion},
};
use std::rc::Rc;

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

    /// The files with LoRAs over them.
    pub(crate) fn with_loras(&self, files: &ModelFiles, loras: &[LoraRun]) -> Result<ModelFiles> {
        let loras = loras.iter().map(|LoraRun { file, weight }| {
            Ok(WeightedLora::new(Rc::new(Lora::new(file, self.data.component(file)?.source)?), *weight))
        });
        Ok(Adapters { loras: loras.collect::<Result<_>>()?, ..Adapters::default() }.over(files)?)
    }

    /// A text in which `<thing>` is a learned word.
    pub(crate) async fn embedding(&self, model: &str, file: &str, prompt: &str) -> Result<Vec<Comparison>> {
        let embedding = Embedding::read(file, Some("<thing>"), &self.data.bytes(file)?)?;
        let adapters = Adapters { embeddings: vec![embedding], ..Adapters::default() };
        let files = adapters.over(&self.data.model(model)?)?;
        let mut loading = Loading::new(&files, self.device, LoadOptions::default())?;
        loading.load(Part::TextEncoder)?;
        let encoder = loading.prompts().context("the text encoder is loaded")?;
        let states = encoder.encode(&[prompt.to_owned()], 1)?.states;
        let name = if self.recorded.contains_key("prompt_embeds") { "prompt_embeds" } else { "last_hidden_state" };
        Ok(vec![compare(states, &self.recorded, name, self.tolerance).await?])
    }
}
