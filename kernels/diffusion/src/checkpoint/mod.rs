//! Models in one file under the names of the original code, the form in which most are traded.
//!
//! A view over the file gives every tensor the name and shape that it has in diffusers; nothing is copied. What the file does
//! not have beside its tensors is made up: the configurations from shapes ([`configs`]), the vocabulary by whoever opens it.

mod blocks;
mod configs;
mod contents;
mod export;
mod layout;
mod names;
mod parts;

pub(crate) use names::denoiser_to_diffusers;

pub use contents::{Contents, DenoiserKind, Generation, Purpose};
pub use export::{
    OriginalPart, denoiser_under_original_names, original_denoiser, original_parts, under_original_names,
};

use crate::pipeline::{Component, ModelCard, ModelFiles, ModelFilesError, SecondTextEncoder, keys};
use layout::{Layout, Style};
use parts::Depth;
use serde_json::Value;
use std::rc::Rc;
use weights::{TensorSource, View};

/// OpenAI's vocabulary, which a file of tensors has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// `vocab.json`.
    pub vocab: String,
    /// `merges.txt`.
    pub merges: String,
}

/// Configurations that are known better than by shapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownConfigs {
    /// `unet/config.json`.
    pub unet: Option<String>,
    /// `vae/config.json`.
    pub vae: Option<String>,
    /// `text_encoder/config.json`.
    pub text_encoder: Option<String>,
    /// `text_encoder_2/config.json`.
    pub text_encoder_2: Option<String>,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: Option<String>,
}

impl Vocabulary {
    /// The one that a file of ours carries.
    fn said_by(source: &dyn TensorSource) -> Option<Self> {
        let said = |key| source.metadata(key).map(str::to_owned);
        Some(Self { vocab: said(keys::VOCAB)?, merges: said(keys::MERGES)? })
    }
}

impl KnownConfigs {
    /// Completed by what a file of ours carries beside its tensors; its scheduler only where nobody knows better.
    fn or_said_by(self, source: &dyn TensorSource, with_scheduler: bool) -> Self {
        let or = |known: Option<String>, key| known.or_else(|| source.metadata(key).map(str::to_owned));
        Self {
            unet: or(self.unet, keys::UNET),
            vae: or(self.vae, keys::VAE),
            text_encoder: or(self.text_encoder, keys::TEXT),
            text_encoder_2: or(self.text_encoder_2, keys::TEXT_2),
            scheduler: if with_scheduler { or(self.scheduler, keys::SCHEDULER) } else { self.scheduler },
        }
    }
}

/// How a single file is opened.
#[derive(Default)]
pub struct CheckpointOptions {
    /// The vocabulary; without one only files that carry their own can be opened.
    pub vocabulary: Option<Vocabulary>,
    /// Configurations that are known.
    pub configs: KnownConfigs,
    /// `epsilon` or `v_prediction`, where neither the file nor its family says what is right.
    pub prediction: Option<String>,
    /// Take the weights that were averaged over training, where the file has both.
    pub averaged: bool,
    /// Where the parts come from that the file has not.
    pub base: Option<ModelFiles>,
}

/// The parts of a model in `source`.
///
/// # Errors
/// [`ModelFilesError::Contents`] for a file that is something else, [`ModelFilesError::Part`] for one that lacks a part which
/// the options do not give either.
pub fn open(source: &Rc<dyn TensorSource>, options: CheckpointOptions) -> Result<ModelFiles, ModelFilesError> {
    let contents = Contents::of(source.tensors());
    let Some(kind) = contents.denoiser() else { return Err(ModelFilesError::Contents(contents)) };
    let generation = kind.generation;
    let layout = Layout::of(source.tensors());
    let Some(place) = layout.denoiser else { return Err(ModelFilesError::Contents(contents)) };
    let CheckpointOptions { vocabulary, configs: known, prediction, averaged, base } = options;
    let missing = |part| ModelFilesError::Part { part, contents };
    let failed = |source| ModelFilesError::Weights { file: "the model".to_owned(), source };
    if averaged && !parts::has_averaged(source.tensors()) {
        return Err(missing("averaged weights"));
    }
    let base = Base::of(base);
    let known = known.or_said_by(&**source, prediction.is_none());
    let vocabulary = Vocabulary::said_by(&**source).or(vocabulary);

    let (unet, blocks) = parts::denoiser(source, place, averaged).map_err(failed)?;
    let unet_config = text_or(known.unet, || configs::denoiser(unet.tensors(), &blocks, generation))
        .ok_or_else(|| missing("a whole unet"))?;
    let scheduler_config =
        known.scheduler.unwrap_or_else(|| configs::scheduler(&**source, generation, prediction.as_deref()).to_string());
    let vae = match layout.autoencoder {
        None => base.vae.ok_or_else(|| missing("vae"))?,
        Some(place) => {
            let view = parts::autoencoder(source, place).map_err(failed)?;
            let config = text_or(known.vae, || configs::autoencoder(view.tensors(), generation));
            (config.ok_or_else(|| missing("a whole vae"))?, component(view))
        }
    };
    let (text_config, text_encoder) = match layout.text_encoder {
        None => base.text.ok_or_else(|| missing("text_encoder"))?,
        Some(place) => {
            let depth =
                if generation == Generation::Sd2 { second_depth(known.text_encoder.as_deref()) } else { Depth::Whole };
            let view = parts::text_encoder(source, place, depth).map_err(failed)?;
            let is_gelu = place.style == Style::Original || generation == Generation::Sd2;
            let activation = if is_gelu { "gelu" } else { "quick_gelu" };
            let config = text_or(known.text_encoder, || configs::text_encoder(view.tensors(), activation));
            (config.ok_or_else(|| missing("a whole text_encoder"))?, component(view))
        }
    };
    let text_encoder_2 = match layout.text_encoder_2 {
        None if generation == Generation::Sdxl => Some(base.text_2.ok_or_else(|| missing("text_encoder_2"))?),
        None => None,
        Some(place) => {
            let view = parts::text_encoder(source, place, Depth::Whole).map_err(failed)?;
            let config = text_or(known.text_encoder_2, || configs::text_encoder(view.tensors(), "gelu"));
            let config = config.ok_or_else(|| missing("a whole text_encoder_2"))?;
            Some(SecondTextEncoder {
                config,
                pad_token: source.metadata(keys::PAD_2).unwrap_or(PAD_ZERO).to_owned(),
                component: component(view),
                force_zeros: source.metadata(keys::FORCE_ZEROS) != Some("false"),
            })
        }
    };
    let Some(Vocabulary { vocab, merges }) = vocabulary.or(base.vocabulary) else {
        return Err(missing("tokenizer"));
    };
    let pad_token = if generation == Generation::Sd2 { PAD_ZERO } else { PAD_END };
    Ok(ModelFiles {
        unet_config,
        text_config,
        scheduler_config,
        vocab,
        merges,
        pad_token: source.metadata(keys::PAD).unwrap_or(pad_token).to_owned(),
        unet: component(unet),
        vae: Some(vae),
        text_encoder,
        text_encoder_2,
        added_tokens: Vec::new(),
        tiny_vae: base.tiny_vae,
        card: card(&**source, kind),
    })
}

/// The autoencoder in `source` under the names of either layout, with its configuration; `None` where there is none.
///
/// # Errors
/// [`WeightsError`](weights::WeightsError) for tensors that do not make one.
pub fn autoencoder(
    source: &Rc<dyn TensorSource>,
    is_xl: bool,
) -> Result<Option<(String, Component)>, weights::WeightsError> {
    let Some(place) = Layout::of(source.tensors()).autoencoder else { return Ok(None) };
    let view = parts::autoencoder(source, place)?;
    let generation = if is_xl { Generation::Sdxl } else { Generation::Sd1 };
    let config = configs::autoencoder(view.tensors(), generation);
    Ok(config.map(|config| (config.to_string(), component(view))))
}

/// How much of its text encoder SD 2.x uses.
fn second_depth(config: Option<&str>) -> Depth {
    let config: Option<Value> = config.and_then(|config| serde_json::from_str(config).ok());
    let layers = config.and_then(|config| config["num_hidden_layers"].as_u64());
    layers.map_or(Depth::LastButOne, |layers| Depth::Layers(layers as usize))
}

const PAD_END: &str = "<|endoftext|>";
/// The token of id 0.
const PAD_ZERO: &str = "!";

fn component(view: View) -> Component {
    Component { source: Rc::new(view), prefix: String::new() }
}

fn text_or(known: Option<String>, made: impl FnOnce() -> Option<Value>) -> Option<String> {
    known.or_else(|| made().map(|config| config.to_string()))
}

/// The file's title, and the size that its generation draws best.
fn card(source: &dyn TensorSource, kind: DenoiserKind) -> ModelCard {
    if let Some(card) = source.metadata(keys::CARD).and_then(|card| serde_json::from_str(card).ok()) {
        return card;
    }
    let side = match kind.generation {
        Generation::Sd1 | Generation::Sd2 => 512,
        Generation::Sdxl | Generation::SdxlRefiner => 1024,
    };
    let is_real = kind.context >= 768;
    ModelCard {
        name: source.metadata("modelspec.title").unwrap_or_default().to_owned(),
        native_size: is_real.then_some((side, side)),
        ..ModelCard::default()
    }
}

/// What another model lends.
#[derive(Default)]
struct Base {
    vae: Option<(String, Component)>,
    text: Option<(String, Component)>,
    text_2: Option<SecondTextEncoder>,
    tiny_vae: Option<(String, Component)>,
    vocabulary: Option<Vocabulary>,
}

impl Base {
    fn of(files: Option<ModelFiles>) -> Self {
        let Some(files) = files else { return Self::default() };
        Self {
            vae: files.vae,
            text: Some((files.text_config, files.text_encoder)),
            text_2: files.text_encoder_2,
            tiny_vae: files.tiny_vae,
            vocabulary: Some(Vocabulary { vocab: files.vocab, merges: files.merges }),
        }
    }
}
