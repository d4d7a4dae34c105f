//! Models in the device's memory.

use super::{catalogue::Catalogue, log, metrics::Metrics};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::{
    adapters::{Adapters, Lora, WeightedLora},
    pipeline::{LoadOptions, ModelFiles, StableDiffusion},
    prompt::ExtraNetwork,
};
use spec::ModelId;
use std::{
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

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
    /// A LoRA that a prompt asks for is not there, or does not fit; the sentence is for the job's owner.
    Lora(String),
}

struct Loaded {
    id: ModelId,
    files: ModelFiles,
    /// What lies over it.
    networks: Vec<ExtraNetwork>,
    pipeline: StableDiffusion,
    bytes: u64,
    used: u64,
}

/// Loads models when they are asked for, and drops the least recently used where the budget asks for it.
pub struct Models {
    catalogue: Arc<Catalogue>,
    device: Device,
    loras: Option<PathBuf>,
    budget: u64,
    loaded: Vec<Loaded>,
    clock: u64,
    metrics: Arc<Metrics>,
}

impl Models {
    /// Nothing is loaded yet; `budget` is in bytes and counts weights, not what a run takes beside them.
    pub const fn new(catalogue: Arc<Catalogue>, device: Device, budget: u64, metrics: Arc<Metrics>) -> Self {
        Self { catalogue, device, loras: None, budget, loaded: Vec::new(), clock: 0, metrics }
    }

    /// With the LoRAs of a folder, which prompts may name.
    pub fn with_loras(self, folder: Option<PathBuf>) -> Self {
        Self { loras: folder, ..self }
    }

    /// Whether prompts may name LoRAs.
    pub const fn has_loras(&self) -> bool {
        self.loras.is_some()
    }

    /// The device that all of them are on.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The model, loaded, with these LoRAs over it and no others; changing them reads what they touch alone.
    pub fn get(&mut self, id: &ModelId, networks: &[ExtraNetwork]) -> Result<&StableDiffusion, Missing> {
        self.clock += 1;
        let at = match self.loaded.iter().position(|model| model.id == *id) {
            Some(at) => at,
            None => self.load(id)?,
        };
        let model = &mut self.loaded[at];
        model.used = self.clock;
        if model.networks != networks {
            let is_gpu = self.device != Device::flex();
            model.adapt(networks, self.loras.as_deref(), is_gpu)?;
        }
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
        let (files, pipeline) = crate::model::open(&path)
            .and_then(|files| {
                let pipeline = StableDiffusion::load(&files, &self.device, LoadOptions::for_files(&files))?;
                Ok((files, pipeline))
            })
            .with_context(|| format!("could not load the model in {}", path.display()))
            .map_err(Missing::Broken)?;
        let (seconds, bytes) = (started.elapsed().as_secs_f64(), pipeline.device_bytes());
        self.metrics.phase("load", seconds);
        log::info(
            "model loaded",
            &[("model", id.as_str().into()), ("seconds", seconds.into()), ("bytes", bytes.into())],
        );
        self.loaded.push(Loaded { id: id.clone(), files, networks: Vec::new(), pipeline, bytes, used: self.clock });
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

impl Loaded {
    fn adapt(&mut self, networks: &[ExtraNetwork], folder: Option<&Path>, is_gpu: bool) -> Result<(), Missing> {
        let started = Instant::now();
        let loras = networks.iter().map(|network| lora(network, folder)).collect::<Result<_, _>>()?;
        let keeps_halves = is_gpu && LoadOptions::for_files(&self.files).keep_quantised;
        let adapters = Adapters { loras, keeps_halves, ..Adapters::default() };
        let files = adapters.over(&self.files).map_err(|error| Missing::Lora(error.to_string()))?;
        self.pipeline.adapt(&files).map_err(|error| Missing::Broken(error.into()))?;
        self.networks = networks.to_vec();
        let (model, seconds) = (self.id.as_str(), started.elapsed().as_secs_f64());
        log::info(
            "adapters changed",
            &[("model", model.into()), ("loras", networks.len().into()), ("seconds", seconds.into())],
        );
        Ok(())
    }
}

/// The LoRA that a prompt names, which is a file of the folder and of none other.
fn lora(network: &ExtraNetwork, folder: Option<&Path>) -> Result<WeightedLora, Missing> {
    let ExtraNetwork { name, unet_weight: unet, text_weight: text } = network;
    let unknown = || Missing::Lora(format!("there is no LoRA `{name}` on this node"));
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    let file = folder.filter(|_| is_name).map(|folder| folder.join(format!("{name}.safetensors")));
    let file = file.filter(|file| file.is_file()).ok_or_else(unknown)?;
    let source = weights::open_path(&file)
        .with_context(|| format!("could not open the LoRA {}", file.display()))
        .map_err(Missing::Broken)?;
    let lora = Lora::new(name, Rc::from(source)).map_err(|error| Missing::Lora(error.to_string()))?;
    Ok(WeightedLora { lora: Rc::new(lora), unet: *unet, text: *text })
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
    use diffusion::pipeline::{CancelToken, PipelineRequest, Silent};
    use golden::{Data, to_gguf};
    use weights::Dtype;

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
        assert!(matches!(small.get(&id, &[]), Err(Missing::TooLarge { .. })));
        let mut enough = models(bytes);
        assert!(matches!(enough.get(&ModelId::new("other").unwrap(), &[]), Err(Missing::Unknown)));
        // What is foreseen of a model is what it takes, but for the rows that fill a matrix's last tile.
        let taken = enough.get(&id, &[]).unwrap().device_bytes();
        assert!((bytes..bytes + bytes / 1000).contains(&taken), "{taken} of {bytes}");
        assert!(metrics.text().contains("darkroom_models_loaded 1\n"));
        enough.forget(&id);
        assert!(metrics.text().contains("darkroom_models_loaded 0\n"));
    }

    /// A picture of one step.
    fn drawn(pipeline: &StableDiffusion) -> Vec<u8> {
        let spec = r#"{"prompt": "a red house", "steps": 1, "seed": 1, "size": [32, 32]}"#;
        let request = PipelineRequest::from_spec(&serde_json::from_str(spec).unwrap(), None);
        let made = pollster::block_on(pipeline.generate(request, &mut Silent, &CancelToken::default()));
        made.unwrap().pictures.remove(0).rgb
    }

    #[test]
    fn a_loaded_model_takes_the_loras_that_prompts_name_and_puts_them_off_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = Data::folder().model("tiny-sd15").unwrap();
        std::fs::write(folder.path().join("tiny.gguf"), to_gguf(&files, Dtype::F16).unwrap()).unwrap();
        let catalogue = Arc::new(Catalogue::of(folder.path(), false).unwrap());
        let loras = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data/models/tiny-lora");
        let models = || {
            let models = Models::new(Arc::clone(&catalogue), Device::flex(), u64::MAX, Arc::default());
            models.with_loras(Some(loras.clone()))
        };
        let named =
            |name: &str, weight| vec![ExtraNetwork { name: name.to_owned(), unet_weight: weight, text_weight: weight }];
        let id = ModelId::new("tiny").unwrap();
        let mut one = models();
        let plain = drawn(one.get(&id, &[]).unwrap());
        for networks in [named("lora-0-diffusers", 0.7), named("loha", 0.8), named("loha", 0.2), Vec::new()] {
            let fresh = drawn(models().get(&id, &networks).unwrap());
            assert_eq!(drawn(one.get(&id, &networks).unwrap()), fresh, "{networks:?}");
            assert_eq!(fresh == plain, networks.is_empty());
        }
        for (name, sentence) in [("none", "there is no LoRA `none`"), ("../x", "no LoRA"), ("lora-xl-kohya", "family")]
        {
            let Err(Missing::Lora(error)) = one.get(&id, &named(name, 1.0)) else { panic!("{name} is taken") };
            assert!(error.contains(sentence), "{error}");
        }
        assert_eq!(drawn(one.get(&id, &[]).unwrap()), plain);
    }
}
