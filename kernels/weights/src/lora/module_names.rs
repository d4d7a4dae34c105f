//! Every name that files give to a model's modules.

use super::original_names::OriginalNames;
use crate::TensorSource;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A part of a model that LoRAs reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The denoiser.
    UNet,
    /// The text encoder, or the first of two.
    Text,
    /// The second text encoder.
    Text2,
}

/// The tensors of a part, and what their names begin with; nothing for a file of its own.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Where the tensors are.
    pub source: &'a dyn TensorSource,
    /// What their names start with.
    pub prefix: &'a str,
}

/// A matrix, a convolution or a norm of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The part that it is in.
    pub place: Place,
    /// The name of its weight in the part's source.
    pub tensor: String,
    /// Outputs.
    pub rows: usize,
    /// What each of them sums over; 1 for a norm.
    pub columns: usize,
    /// Elements of the kernel of a convolution; else 1.
    pub kernel: usize,
}

/// From every spelling to the module.
pub struct ModuleNames(HashMap<String, Module>);

impl ModuleNames {
    /// Of a model with these parts.
    pub fn new(unet: Part<'_>, text: Part<'_>, text_2: Option<Part<'_>>) -> Self {
        let mut names = HashMap::new();
        let unet = modules(Place::UNet, unet);
        let original = OriginalNames::new(&unet.keys().map(String::as_str).collect::<BTreeSet<_>>());
        for (name, module) in unet {
            let mut spell = |spelling: String| names.insert(spelling, module.clone());
            spell(name.clone());
            spell(format!("unet.{name}"));
            spell(format!("base_model.model.{name}"));
            spell(format!("lora_unet_{}", name.replace('.', "_")));
            if let Some(original) = original.of(&name) {
                spell(format!("lora_unet_{}", original.replace('.', "_")));
                spell(format!("diffusion_model.{original}"));
            }
        }
        let second = text_2.map(|second| modules(Place::Text2, second));
        let has_two = second.is_some();
        let texts = [Some(modules(Place::Text, text)), second];
        for (index, (name, module)) in texts
            .into_iter()
            .enumerate()
            .filter_map(|(index, all)| Some((index, all?)))
            .flat_map(|(index, all)| all.into_iter().map(move |entry| (index, entry)))
        {
            let (dotted, kohya): (&[&str], &[&str]) = match (index, has_two) {
                (0, false) => (&["text_encoder.", "base_model.model.", ""], &["lora_te_", "lora_te1_"]),
                (0, true) => (&["text_encoder."], &["lora_te1_", "lora_te_"]),
                _ => (&["text_encoder_2."], &["lora_te2_"]),
            };
            // transformers 5 dropped the `text_model` level.
            let inner = name.strip_prefix("text_model.").unwrap_or(&name);
            for inner in [name.clone(), inner.to_owned(), format!("text_model.{inner}")] {
                let underscored = inner.replace('.', "_");
                let spellings = dotted.iter().map(|start| format!("{start}{inner}"));
                let spellings = spellings.chain(kohya.iter().map(|start| format!("{start}{underscored}")));
                for spelling in spellings {
                    names.entry(spelling).or_insert_with(|| module.clone());
                }
            }
        }
        Self(names)
    }

    /// The module that a file means by this.
    pub fn get(&self, spelling: &str) -> Option<&Module> {
        self.0.get(spelling)
    }
}

/// The modules of a part by their names in it.
fn modules(place: Place, part: Part<'_>) -> BTreeMap<String, Module> {
    let prefix = if part.prefix.is_empty() { String::new() } else { format!("{}.", part.prefix) };
    let found = part.source.tensors().iter().filter_map(|info| {
        let name = info.name.strip_prefix(&prefix)?.strip_suffix(".weight")?;
        let [rows, rest @ ..] = info.shape.as_slice() else { return None };
        // What a token or a position looks up is no product.
        if name.ends_with("_embedding") {
            return None;
        }
        let (columns, kernel) = (rest.iter().product(), rest.iter().skip(1).product());
        Some((name.to_owned(), Module { place, tensor: info.name.clone(), rows: *rows, columns, kernel }))
    });
    found.collect()
}
