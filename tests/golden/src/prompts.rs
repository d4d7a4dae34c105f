//! Cases of the web UI's prompt language.

use crate::{Comparison, cases::Bench, compare, tensors::numbers};
use anyhow::{Context as _, Result};
use diffusion::{
    pipeline::{LoadOptions, Loading, Part},
    prompt::pieces,
    text::chunks,
};
use std::collections::BTreeMap;

impl Bench<'_> {
    pub(crate) async fn prompts(&self, model: &str, prompts: &BTreeMap<String, String>) -> Result<Vec<Comparison>> {
        let files = self.data.model(model)?;
        let mut loading = Loading::new(&files, self.device, LoadOptions::default())?;
        loading.load(Part::TextEncoder)?;
        let encoder = loading.prompts().context("the text encoder is not loaded")?;
        let mut compared = Vec::new();
        for (name, text) in prompts {
            let cut = chunks(encoder.tokenizer(), &pieces(text), 77);
            let ids: Vec<f32> = cut.iter().flat_map(|chunk| &chunk.ids).map(|&id| id as f32).collect();
            let weights: Vec<f32> = cut.iter().flat_map(|chunk| chunk.weights.iter().copied()).collect();
            for (part, found, tolerance) in [("ids", ids, 0.0), ("weights", weights, 1e-6)] {
                let recorded = numbers(&self.recorded, &format!("{name}.{part}"))?;
                compared.push(Comparison::of(format!("{name}.{part}"), &found, &recorded, tolerance));
            }
            let encoded = encoder.encode(std::slice::from_ref(text), 1)?;
            compared
                .push(compare(encoded.states, &self.recorded, &format!("{name}.embeddings"), self.tolerance).await?);
        }
        Ok(compared)
    }
}
