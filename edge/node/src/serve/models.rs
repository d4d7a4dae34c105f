//! Models in the device's memory.

use super::{catalogue::Catalogue, log, metrics::Metrics};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::pipeline::{LoadOptions, StableDiffusion};
use spec::ModelId;
use std::{sync::Arc, time::Instant};

/// Why a model is not there.
#[derive(Debug)]
pub enum Missing {
    /// There is none of that name.
    Unknown,
    /// It can never fit, with the megabytes that it needs and may take.
    TooLarge {
        /// What it needs.
        needed_mb: u64,
        /// What there is.
        budget_mb: u64,
    },
    /// Its files could not be loaded.
    Broken(anyhow::Error),
}

struct Loaded {
    id: ModelId,
    pipeline: StableDiffusion,
    bytes: u64,
    used: u64,
}

/// Loads models when they are asked for, and drops the least recently used where the budget asks for it.
pub struct Models {
    catalogue: Arc<Catalogue>,
    device: Device,
    budget: u64,
    loaded: Vec<Loaded>,
    clock: u64,
    metrics: Arc<Metrics>,
}

impl Models {
    /// Nothing is loaded yet; `budget` is in bytes and counts weights, not what a run takes beside them.
    pub const fn new(catalogue: Arc<Catalogue>, device: Device, budget: u64, metrics: Arc<Metrics>) -> Self {
        Self { catalogue, device, budget, loaded: Vec::new(), clock: 0, metrics }
    }

    /// The device that all of them are on.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The model, loaded.
    pub fn get(&mut self, id: &ModelId) -> Result<&StableDiffusion, Missing> {
        self.clock += 1;
        let at = match self.loaded.iter().position(|model| model.id == *id) {
            Some(at) => at,
            None => self.load(id)?,
        };
        let model = &mut self.loaded[at];
        model.used = self.clock;
        Ok(&model.pipeline)
    }

    /// Drops a model that may be in a state that nobody foresaw.
    pub fn forget(&mut self, id: &ModelId) {
        self.loaded.retain(|model| model.id != *id);
        self.settle();
    }

    fn load(&mut self, id: &ModelId) -> Result<usize, Missing> {
        let entry = self.catalogue.get(id).ok_or(Missing::Unknown)?;
        if entry.bytes > self.budget {
            return Err(Missing::TooLarge { needed_mb: entry.bytes >> 20, budget_mb: self.budget >> 20 });
        }
        let (path, needed) = (entry.path.clone(), entry.bytes);
        let held: Vec<_> = self.loaded.iter().map(|model| (model.bytes, model.used)).collect();
        for used in to_drop(&held, needed, self.budget) {
            self.loaded.retain(|model| model.used != used);
        }
        self.settle();

        let started = Instant::now();
        let pipeline = crate::model::open(&path)
            .and_then(|files| Ok(StableDiffusion::load(&files, &self.device, LoadOptions::for_files(&files))?))
            .with_context(|| format!("could not load the model in {}", path.display()))
            .map_err(Missing::Broken)?;
        let (seconds, bytes) = (started.elapsed().as_secs_f64(), pipeline.device_bytes());
        self.metrics.phase("load", seconds);
        log::info(
            "model loaded",
            &[("model", id.as_str().into()), ("seconds", seconds.into()), ("bytes", bytes.into())],
        );
        self.loaded.push(Loaded { id: id.clone(), pipeline, bytes, used: self.clock });
        self.settle();
        Ok(self.loaded.len() - 1)
    }

    /// Tells what is held now, and gives freed memory back to the system.
    fn settle(&self) {
        self.device.memory_cleanup();
        let bytes = self.loaded.iter().map(|model| model.bytes).sum();
        self.metrics.models(self.loaded.len() as u64, bytes);
    }
}

/// Which of the held models, each with its bytes and when it was last used, make room for `needed` bytes: the least recently used
/// first, and no more than it takes.
fn to_drop(held: &[(u64, u64)], needed: u64, budget: u64) -> Vec<u64> {
    let mut held = held.to_vec();
    held.sort_by_key(|&(_, used)| used);
    let mut taken: u64 = held.iter().map(|&(bytes, _)| bytes).sum();
    let mut dropped = Vec::new();
    for (bytes, used) in held {
        if taken + needed <= budget {
            break;
        }
        taken -= bytes;
        dropped.push(used);
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_make_room_and_no_more_than_it_takes() {
        let held = [(40, 3), (30, 1), (20, 2)];
        assert!(to_drop(&held, 10, 100).is_empty());
        assert_eq!(to_drop(&held, 20, 100), [1]);
        assert_eq!(to_drop(&held, 50, 100), [1, 2]);
        assert_eq!(to_drop(&held, 100, 100), [1, 2, 3]);
    }

    #[test]
    fn models_are_loaded_when_they_fit_and_forgotten_when_told() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../static/models/demo");
        let catalogue = Arc::new(Catalogue::of(&folder, false).unwrap());
        let bytes = catalogue.entries()[0].bytes;
        let metrics = Arc::new(Metrics::default());
        let models = |budget| {
            let catalogue = Arc::clone(&catalogue);
            Models::new(catalogue, Device::flex(), budget, Arc::clone(&metrics))
        };
        let id = ModelId::new("demo").unwrap();

        let mut small = models(bytes - 1);
        assert!(matches!(small.get(&id), Err(Missing::TooLarge { .. })));
        let mut enough = models(bytes);
        assert!(matches!(enough.get(&ModelId::new("other").unwrap()), Err(Missing::Unknown)));
        // What is foreseen of a model is what it takes.
        assert_eq!(enough.get(&id).unwrap().device_bytes(), bytes);
        assert!(metrics.text().contains("darkroom_models_loaded 1\n"));
        enough.forget(&id);
        assert!(metrics.text().contains("darkroom_models_loaded 0\n"));
    }
}
