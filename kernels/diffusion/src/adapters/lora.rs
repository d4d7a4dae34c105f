//! Low-rank adaptations (Hu et al., 2021) in the forms that are shared.

use super::{
    WeightedLora, listed,
    merged::{Delta, Merged},
};
use crate::pipeline::{Component, ModelFiles};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};
use thiserror::Error;
use weights::{
    TensorSource, WeightsError,
    lora::{LoraKey, Module, ModuleNames, Part, Place, Role},
};

/// A LoRA that cannot be used.
#[derive(Debug, Error)]
pub enum LoraError {
    /// The file could not be read.
    #[error("could not read the LoRA `{name}`")]
    Read {
        /// Which one.
        name: String,
        /// What is wrong with it.
        #[source]
        source: WeightsError,
    },
    /// Nothing in it is a LoRA's.
    #[error("`{0}` is no LoRA: none of its tensors is named like one's (lora_down, lora_A, …)")]
    NotLora(String),
    /// A kind of adapter that is no plain product.
    #[error("`{name}` is {method} in `{module}`, which is not supported; a LoRA or LoCon of it would be")]
    Method {
        /// Which one.
        name: String,
        /// The method.
        method: &'static str,
        /// The first module of it.
        module: String,
    },
    /// Some modules have not all of their tensors.
    #[error("`{name}` is not whole: one of the two matrices is missing in {}", listed(.modules))]
    Partial {
        /// Which one.
        name: String,
        /// The modules.
        modules: BTreeSet<String>,
    },
    /// Some modules are not in the model.
    #[error(
        "`{name}` does not fit this model: {} of its {of} modules are not in it: {}; it was made for another family",
        .modules.len(), listed(.modules)
    )]
    Unmatched {
        /// Which one.
        name: String,
        /// The modules that the model has not.
        modules: BTreeSet<String>,
        /// All modules.
        of: usize,
    },
    /// Sizes differ.
    #[error("`{name}` does not fit this model: in {} the sizes differ; it was made for another family", listed(.modules))]
    Misshapen {
        /// Which one.
        name: String,
        /// The modules.
        modules: BTreeSet<String>,
    },
}

/// The tensors of one module.
#[derive(Debug, Clone, Default)]
struct Pair {
    down: Option<String>,
    up: Option<String>,
    mid: Option<String>,
    alpha: Option<f64>,
}

/// A file of low-rank matrices, whose tensors stay in it until they are merged.
pub struct Lora {
    name: String,
    source: Rc<dyn TensorSource>,
    pairs: BTreeMap<String, Pair>,
}

impl fmt::Debug for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lora").field("name", &self.name).field("modules", &self.pairs.len()).finish_non_exhaustive()
    }
}

impl Lora {
    /// Takes a file's names apart; `name` is for messages.
    ///
    /// # Errors
    /// [`LoraError`] for what is no LoRA, or is none that is supported.
    pub fn new(name: &str, source: Rc<dyn TensorSource>) -> Result<Self, LoraError> {
        let name = name.to_owned();
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        for info in source.tensors() {
            let Some(LoraKey { module, role }) = LoraKey::parse(&info.name) else { continue };
            let pair = pairs.entry(module.clone()).or_default();
            match role {
                Role::Down => pair.down = Some(info.name.clone()),
                Role::Up => pair.up = Some(info.name.clone()),
                Role::Mid => pair.mid = Some(info.name.clone()),
                Role::Alpha => {
                    let read = source.read(&info.name).map_err(|source| LoraError::Read { name: name.clone(), source });
                    pair.alpha = read?.to_f32().first().map(|&alpha| f64::from(alpha));
                }
                Role::Other(method) => return Err(LoraError::Method { name, method, module }),
            }
        }
        if pairs.values().all(|pair| pair.down.is_none() && pair.up.is_none()) {
            return Err(LoraError::NotLora(name));
        }
        let is_partial = |pair: &Pair| pair.down.is_none() || pair.up.is_none();
        let modules: BTreeSet<_> =
            pairs.iter().filter(|(_, pair)| is_partial(pair)).map(|(module, _)| module.clone()).collect();
        if !modules.is_empty() {
            return Err(LoraError::Partial { name, modules });
        }
        let mut lora = Self { name, source, pairs };
        lora.take_alphas_of_metadata();
        Ok(lora)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `PEFT`'s settings for the modules that have no `alpha` of their own: `lora_alpha` of `adapter_config.json`.
    #[must_use]
    pub fn with_peft_config(mut self, config: &str) -> Self {
        let config: Value = serde_json::from_str(config).unwrap_or_default();
        for (module, pair) in &mut self.pairs {
            pair.alpha = pair.alpha.or_else(|| peft_alpha(&config, "", module));
        }
        self
    }

    /// The reference writes PEFT's settings as `lora_adapter_metadata`, each below its part; older files have one for all.
    fn take_alphas_of_metadata(&mut self) {
        let settings = self.source.metadata("lora_adapter_metadata");
        let settings: Option<Value> = settings.and_then(|text| serde_json::from_str(text).ok());
        let whole = ["network_alpha", "ss_network_alpha"].iter().find_map(|key| self.source.metadata(key));
        // Trainers that write one for each module may say something else here.
        let whole = whole.filter(|_| self.pairs.values().all(|pair| pair.alpha.is_none()));
        let whole = whole.and_then(|text| text.parse::<f64>().ok()).filter(|alpha| alpha.is_finite());
        for (module, pair) in &mut self.pairs {
            let part = module.split('.').next().unwrap_or_default();
            let of_settings = settings.as_ref().and_then(|settings| peft_alpha(settings, &format!("{part}."), module));
            pair.alpha = pair.alpha.or(of_settings).or(whole);
        }
    }

    fn delta(&self, module: &Module, pair: &Pair, weight: f64) -> Option<Delta> {
        let (down, up) = (pair.down.clone()?, pair.up.clone()?);
        let elements = |name: &str| self.source.info(name).map(|info| info.elements() as usize);
        let (down_elements, up_elements) = (elements(&down)?, elements(&up)?);
        let rank = up_elements / module.rows.max(1);
        let inputs = module.columns / module.kernel.max(1);
        let fits = match &pair.mid {
            Some(mid) => {
                let from = down_elements / inputs.max(1);
                down_elements == from * inputs && elements(mid)? == rank * from * module.kernel
            }
            None => down_elements == rank * module.columns,
        };
        if rank == 0 || up_elements != rank * module.rows || !fits {
            return None;
        }
        let scale = weight * pair.alpha.unwrap_or(rank as f64) / rank as f64;
        let (source, mid, kernel) = (self.source.clone(), pair.mid.clone(), module.kernel);
        Some(Delta { source, down, up, mid, rank, kernel, scale: scale as f32 })
    }
}

/// `lora_alpha` for a module, or what its pattern says.
fn peft_alpha(settings: &Value, prefix: &str, module: &str) -> Option<f64> {
    let own = settings[format!("{prefix}alpha_pattern")].as_object().and_then(|patterns| {
        patterns.iter().find(|(pattern, _)| module.ends_with(pattern.as_str())).and_then(|(_, alpha)| alpha.as_f64())
    });
    own.or_else(|| settings[format!("{prefix}lora_alpha")].as_f64())
}

fn part(component: &Component) -> Part<'_> {
    Part { source: &*component.source, prefix: &component.prefix }
}

/// Lays LoRAs over the parts that they reach.
pub(super) fn lay_over(files: &mut ModelFiles, loras: &[WeightedLora], keeps_halves: bool) -> Result<(), LoraError> {
    if loras.is_empty() {
        return Ok(());
    }
    let second = files.text_encoder_2.as_ref().map(|second| part(&second.component));
    let names = ModuleNames::new(part(&files.unet), part(&files.text_encoder), second);
    let mut deltas: BTreeMap<Place, BTreeMap<String, Vec<Delta>>> = BTreeMap::new();
    for WeightedLora { lora, unet, text } in loras {
        let (mut unmatched, mut misshapen) = (BTreeSet::new(), BTreeSet::new());
        for (spelling, pair) in &lora.pairs {
            let Some(module) = names.get(spelling) else {
                unmatched.insert(spelling.clone());
                continue;
            };
            let weight = if module.place == Place::UNet { *unet } else { *text };
            let Some(delta) = lora.delta(module, pair, weight) else {
                misshapen.insert(spelling.clone());
                continue;
            };
            // Without weight a tensor stays what it is, and is not packed anew.
            if delta.scale != 0.0 {
                deltas.entry(module.place).or_default().entry(module.tensor.clone()).or_default().push(delta);
            }
        }
        let (name, of) = (lora.name.clone(), lora.pairs.len());
        if !unmatched.is_empty() {
            return Err(LoraError::Unmatched { name, modules: unmatched, of });
        }
        if !misshapen.is_empty() {
            return Err(LoraError::Misshapen { name, modules: misshapen });
        }
    }
    for (place, deltas) in deltas {
        let part: Option<&mut Component> = match place {
            Place::UNet => Some(&mut files.unet),
            Place::Text => Some(&mut files.text_encoder),
            Place::Text2 => files.text_encoder_2.as_mut().map(|second| &mut second.component),
        };
        if let Some(part) = part {
            part.source = Rc::new(Merged::new(part.source.clone(), deltas, keeps_halves));
        }
    }
    Ok(())
}
