//! Low-rank adaptations (Hu et al., 2021) in the forms that are shared.

use super::{WeightedLora, delta::Delta, listed, lora_parts::Parts, merged::Merged};
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
    /// A kind of adapter that is not known.
    #[error(
        "`{name}` is {method} in `{module}`, which is not supported; a LoRA, LoHa, LoKr, DoRA or difference of it would be"
    )]
    Method {
        /// Which one.
        name: String,
        /// The method.
        method: &'static str,
        /// The first module of it.
        module: String,
    },
    /// Tensors that nothing is known of.
    #[error("`{name}` has tensors that are no adapter's that is known: {}", listed(.keys))]
    Unknown {
        /// Which one.
        name: String,
        /// What they are called.
        keys: BTreeSet<String>,
    },
    /// Some modules have not all of their tensors.
    #[error("`{name}` is not whole: a matrix is missing in {}", listed(.modules))]
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

/// A file of low-rank matrices, whose tensors stay in it until they are merged.
pub struct Lora {
    name: String,
    source: Rc<dyn TensorSource>,
    modules: BTreeMap<String, Parts>,
}

impl fmt::Debug for Lora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lora").field("name", &self.name).field("modules", &self.modules.len()).finish_non_exhaustive()
    }
}

impl Lora {
    /// Takes a file's names apart; `name` is for messages.
    ///
    /// # Errors
    /// [`LoraError`] for what is no LoRA, or is none that is supported.
    pub fn new(name: &str, source: Rc<dyn TensorSource>) -> Result<Self, LoraError> {
        let name = name.to_owned();
        let gains = gained(&*source);
        let mut modules: BTreeMap<String, Parts> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for info in source.tensors() {
            let key = &info.name;
            let gain = key.strip_suffix(".weight").filter(|module| gains.contains(*module));
            let gain = gain.map(|module| LoraKey { module: module.to_owned(), role: Role::Gain });
            let Some(LoraKey { module, role }) = gain.or_else(|| LoraKey::parse(key)) else {
                unknown.insert(key.clone());
                continue;
            };
            if let Role::Other(method) = role {
                return Err(LoraError::Method { name, method, module });
            }
            let parts = modules.entry(module).or_default();
            if role == Role::Alpha {
                let read = source.read(key).map_err(|source| LoraError::Read { name: name.clone(), source })?;
                parts.alpha = read.to_f32().first().map(|&alpha| f64::from(alpha));
            } else {
                parts.tensors.insert(role, key.clone());
            }
        }
        if modules.values().all(|parts| parts.tensors.is_empty()) {
            return Err(LoraError::NotLora(name));
        }
        if !unknown.is_empty() {
            return Err(LoraError::Unknown { name, keys: unknown });
        }
        let partial = modules.iter().filter(|(_, parts)| !parts.is_whole()).map(|(module, _)| module.clone());
        let partial: BTreeSet<_> = partial.collect();
        if !partial.is_empty() {
            return Err(LoraError::Partial { name, modules: partial });
        }
        let mut lora = Self { name, source, modules };
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
        for (module, parts) in &mut self.modules {
            parts.alpha = parts.alpha.or_else(|| peft_alpha(&config, "", module));
            parts.rank = config["r"].as_u64().and_then(|rank| usize::try_from(rank).ok());
        }
        self
    }

    /// The reference writes PEFT's settings as `lora_adapter_metadata`, each below its part; older files have one for all.
    fn take_alphas_of_metadata(&mut self) {
        let settings = self.source.metadata("lora_adapter_metadata");
        let settings: Option<Value> = settings.and_then(|text| serde_json::from_str(text).ok());
        let whole = ["network_alpha", "ss_network_alpha"].iter().find_map(|key| self.source.metadata(key));
        // Trainers that write one for each module may say something else here.
        let whole = whole.filter(|_| self.modules.values().all(|parts| parts.alpha.is_none()));
        let whole = whole.and_then(|text| text.parse::<f64>().ok()).filter(|alpha| alpha.is_finite());
        for (module, parts) in &mut self.modules {
            let part = module.split('.').next().unwrap_or_default();
            let of_settings = settings.as_ref().and_then(|settings| peft_alpha(settings, &format!("{part}."), module));
            parts.alpha = parts.alpha.or(of_settings).or(whole);
        }
    }
}

/// `lora_alpha` for a module, or what its pattern says.
fn peft_alpha(settings: &Value, prefix: &str, module: &str) -> Option<f64> {
    let own = settings[format!("{prefix}alpha_pattern")].as_object().and_then(|patterns| {
        patterns.iter().find(|(pattern, _)| module.ends_with(pattern.as_str())).and_then(|(_, alpha)| alpha.as_f64())
    });
    // LoHa and LoKr have it without the first word.
    let named = ["lora_alpha", "alpha"].iter().find_map(|key| settings[format!("{prefix}{key}")].as_f64());
    own.or(named)
}

/// The modules of `(IA)^3`, whose weights are named like a model's own.
fn gained(source: &dyn TensorSource) -> BTreeSet<String> {
    let keys = source.tensors().iter().filter_map(|info| LoraKey::parse(&info.name));
    keys.filter(|key| key.role == Role::OnInput).map(|key| key.module).collect()
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
    let fits = |Module { place, tensor: own, rows, .. }: &Module, tensor: &str| {
        let part = match place {
            Place::UNet => Some(&files.unet),
            Place::Text => Some(&files.text_encoder),
            Place::Text2 => files.text_encoder_2.as_ref().map(|second| &second.component),
        };
        // What is not the weight is its bias.
        part.and_then(|part| part.source.info(tensor))
            .is_some_and(|info| tensor == own || info.elements() == *rows as u64)
    };
    let mut deltas: BTreeMap<Place, BTreeMap<String, Vec<Delta>>> = BTreeMap::new();
    for WeightedLora { lora, unet, text } in loras {
        let (mut unmatched, mut misshapen) = (BTreeSet::new(), BTreeSet::new());
        for (spelling, parts) in &lora.modules {
            let Some(module) = names.get(spelling) else {
                unmatched.insert(spelling.clone());
                continue;
            };
            let weight = if module.place == Place::UNet { *unet } else { *text };
            // Without weight a tensor stays what it is, and is not packed anew.
            let changes = parts.deltas(&lora.source, module, weight);
            let Some(changes) = changes.filter(|changes| changes.iter().all(|(tensor, _)| fits(module, tensor))) else {
                misshapen.insert(spelling.clone());
                continue;
            };
            let of_place = deltas.entry(module.place).or_default();
            for (tensor, delta) in changes.into_iter().filter(|_| weight != 0.0) {
                of_place.entry(tensor).or_default().push(delta);
            }
        }
        let (name, of) = (lora.name.clone(), lora.modules.len());
        if !unmatched.is_empty() {
            return Err(LoraError::Unmatched { name, modules: unmatched, of });
        }
        if !misshapen.is_empty() {
            return Err(LoraError::Misshapen { name, modules: misshapen });
        }
    }
    for (place, deltas) in deltas.into_iter().filter(|(_, deltas)| !deltas.is_empty()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use weights::{Dtype, SafetensorsFile, TensorView, write_safetensors};

    fn refused(keys: &[&str]) -> String {
        let view = |name| TensorView { name, dtype: Dtype::F32, shape: &[1], bytes: &[0; 4] };
        let mut file = Vec::new();
        write_safetensors(&mut file, keys.iter().copied().map(view), &BTreeMap::new()).unwrap();
        Lora::new("x", Rc::new(SafetensorsFile::open(file).unwrap())).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_known_or_not_whole_is_refused_by_its_name() {
        assert!(refused(&["emb_params"]).contains("`x` is no LoRA"));
        assert!(refused(&["m.oft_blocks"]).contains("`x` is OFT in `m`, which is not supported"));
        let error = refused(&["m.lora_up.weight", "m.lora_down.weight", "m.lokr_w3"]);
        assert!(error.contains("tensors that are no adapter's that is known: m.lokr_w3"), "{error}");
        for part in [
            &["m.lora_up.weight"][..],
            &["m.hada_w1_a", "m.hada_w1_b", "m.hada_w2_a"],
            &["m.lokr_w1", "m.lokr_w2_a"],
            &["m.dora_scale"],
            &["m.on_input"],
            &["m.lora_mid.weight", "m.diff"],
        ] {
            let error = refused(part);
            assert!(error.contains("not whole: a matrix is missing in m"), "{part:?}: {error}");
        }
    }
}
