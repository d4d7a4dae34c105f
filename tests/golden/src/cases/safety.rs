//! The safety checker, and pictures as it takes them.

use super::{Bench, load};
use crate::{
    Comparison, compare,
    tensors::{numbers, tensor},
};
use anyhow::{Context as _, Result};
use diffusion::{
    picture::Picture,
    safety::{SafetyConfig, SafetyModel, Thresholds, Verdict, clip_input},
};

impl Bench<'_> {
    pub(super) async fn safety(&self, folder: &str) -> Result<Vec<Comparison>> {
        let config = self.data.text(&format!("{folder}/config.json"))?;
        let component = self.data.component(&format!("{folder}/model.safetensors"))?;
        let model = load::<SafetyConfig, _, _>(&config, &component, self.device, SafetyModel::new)?;
        let output = model.forward(tensor(&self.recorded, "clip_input", self.device)?);

        let bars = |name: &str| component.source.read(name).map(|raw| raw.to_f32());
        let thresholds =
            Thresholds { special: bars("special_care_embeds_weights")?, concepts: bars("concept_embeds_weights")? };
        let special = crate::values(output.special_scores.clone()).await?;
        let concepts = crate::values(output.concept_scores.clone()).await?;
        let pictures =
            special.chunks_exact(thresholds.special.len()).zip(concepts.chunks_exact(thresholds.concepts.len()));
        let flagged: Vec<f32> = pictures
            .map(|(special, concepts)| f32::from(u8::from(Verdict::of(special, concepts, &thresholds).is_flagged())))
            .collect();
        Ok(vec![
            compare(output.image_embeds, &self.recorded, "image_embeds", self.tolerance).await?,
            compare(output.special_scores, &self.recorded, "special_scores", self.tolerance).await?,
            compare(output.concept_scores, &self.recorded, "concept_scores", self.tolerance).await?,
            Comparison::of("flagged", &flagged, &numbers(&self.recorded, "flagged")?, 0.0),
        ])
    }

    /// Names are `picture_0`, `[height, width, 3]` in bytes, and `clip_input_0`.
    pub(super) async fn clip_input(&self, side: usize) -> Result<Vec<Comparison>> {
        let mut compared = Vec::new();
        for (name, raw) in self.recorded.iter().filter(|(name, _)| name.starts_with("picture_")) {
            let [height, width, 3] = raw.shape[..] else { anyhow::bail!("`{name}` is no picture: {:?}", raw.shape) };
            let picture = Picture { width: width as u32, height: height as u32, rgb: raw.bytes.clone() };
            let index = name.strip_prefix("picture_").context("the name has a number")?;
            let input = clip_input(&picture, side, self.device);
            compared.push(compare(input, &self.recorded, &format!("clip_input_{index}"), self.tolerance).await?);
        }
        Ok(compared)
    }
}
