//! The parts of a model, wherever they lie.

use crate::{checkpoint::Contents, config::ConfigError};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use weights::{TensorSource, WeightsError};

/// A model whose files cannot be gathered.
#[derive(Debug, Error)]
pub enum ModelFilesError {
    /// A file that every model of the family has is not there.
    #[error(
        "`{0}` is missing; a model folder has model_index.json and the folders unet, vae, text_encoder, tokenizer and scheduler"
    )]
    Missing(String),
    /// A file could not be read.
    #[error("could not read `{file}`")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A weights file is not usable.
    #[error("could not open the weights in `{file}`")]
    Weights {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: WeightsError,
    },
    /// A GGUF that lacks what a whole model needs.
    #[error(
        "the file has no `{0}` in its metadata, so it is not a whole model; convert a model folder with `darkroom convert`"
    )]
    Metadata(&'static str),
    /// A file of weights that is no denoiser.
    #[error("the file is {0}; a picture needs a denoiser")]
    Contents(Contents),
    /// A file of weights that has not everything.
    #[error(
        "the file is {contents}, and lacks `{part}`; give it with another model (`--base`) or convert the whole model"
    )]
    Part {
        /// What is missing.
        part: &'static str,
        /// What there is.
        contents: Contents,
    },
    /// A configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The weights of one part, and the prefix of its tensors' names.
#[derive(Clone)]
pub struct Component {
    /// Where the tensors are.
    pub source: std::rc::Rc<dyn TensorSource>,
    /// What their names start with; empty for a file of its own.
    pub prefix: String,
}

/// The second text encoder of Stable Diffusion XL, which has the first one's vocabulary.
#[derive(Clone)]
pub struct SecondTextEncoder {
    /// `text_encoder_2/config.json`.
    pub config: String,
    /// Its weights.
    pub component: Component,
    /// The token that fills its context.
    pub pad_token: String,
    /// Whether an empty negative prompt is zeros and not what the encoders make of it: `force_zeros_for_empty_prompt` of
    /// `model_index.json`.
    pub force_zeros: bool,
}

/// What a model says of itself; every field has a default, since only our own models carry one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelCard {
    /// Its name.
    pub name: String,
    /// Width and height it draws best.
    pub native_size: Option<(u32, u32)>,
    /// Guidance it was tuned for.
    pub guidance: Option<f32>,
    /// Steps it was tuned for.
    pub steps: Option<u32>,
    /// Prompts to try.
    pub examples: Vec<String>,
    /// Every word it knows; empty for a model of a whole language.
    pub known_words: Vec<String>,
}

/// A word that stands for vectors behind the vocabulary's in the text encoders' tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedToken {
    /// How it is written in prompts.
    pub word: String,
    /// How many vectors it stands for.
    pub count: usize,
}

/// Everything that a pipeline is built from.
#[derive(Clone)]
pub struct ModelFiles {
    /// `unet/config.json`.
    pub unet_config: String,
    /// `text_encoder/config.json`.
    pub text_config: String,
    /// `scheduler/scheduler_config.json`.
    pub scheduler_config: String,
    /// `tokenizer/vocab.json`.
    pub vocab: String,
    /// `tokenizer/merges.txt`.
    pub merges: String,
    /// The token that fills the context.
    pub pad_token: String,
    /// The denoiser's weights.
    pub unet: Component,
    /// The autoencoder, with its configuration; a model may have a small one alone.
    pub vae: Option<(String, Component)>,
    /// The text encoder's weights.
    pub text_encoder: Component,
    /// The second text encoder, of models that have two.
    pub text_encoder_2: Option<SecondTextEncoder>,
    /// Words that were added to the vocabulary.
    pub added_tokens: Vec<AddedToken>,
    /// A small autoencoder for previews, or for everything, with its configuration.
    pub tiny_vae: Option<(String, Component)>,
    /// What the model says of itself.
    pub card: ModelCard,
}

/// Metadata keys under which a GGUF carries what a folder has in files of their own.
pub mod keys {
    /// `unet/config.json`.
    pub const UNET: &str = "diffusers.unet.config";
    /// `vae/config.json`.
    pub const VAE: &str = "diffusers.vae.config";
    /// `taesd/config.json`, where there is a small autoencoder for previews.
    pub const TAESD: &str = "diffusers.taesd.config";
    /// `text_encoder/config.json`.
    pub const TEXT: &str = "diffusers.text_encoder.config";
    /// `scheduler/scheduler_config.json`.
    pub const SCHEDULER: &str = "diffusers.scheduler.config";
    /// `tokenizer/vocab.json`.
    pub const VOCAB: &str = "diffusers.tokenizer.vocab";
    /// `tokenizer/merges.txt`.
    pub const MERGES: &str = "diffusers.tokenizer.merges";
    /// The token that fills the context.
    pub const PAD: &str = "diffusers.tokenizer.pad_token";
    /// `text_encoder_2/config.json`, where there is a second text encoder.
    pub const TEXT_2: &str = "diffusers.text_encoder_2.config";
    /// The token that fills its context.
    pub const PAD_2: &str = "diffusers.tokenizer_2.pad_token";
    /// `true` or `false`: `force_zeros_for_empty_prompt`.
    pub const FORCE_ZEROS: &str = "diffusers.force_zeros_for_empty_prompt";
    /// What the model says of itself, as JSON.
    pub const CARD: &str = "darkroom.card";
}

impl ModelFiles {
    /// A whole model in one GGUF, as `darkroom convert` writes it: diffusers' tensor names below `unet.`, `vae.`,
    /// `text_encoder.` and perhaps `text_encoder_2.` and `taesd.`, the configurations as metadata.
    ///
    /// # Errors
    /// [`ModelFilesError::Metadata`] naming what the file lacks.
    pub fn from_gguf(source: &std::rc::Rc<dyn TensorSource>) -> Result<Self, ModelFilesError> {
        let get = |key: &'static str| source.metadata(key).map(str::to_owned).ok_or(ModelFilesError::Metadata(key));
        let part = |prefix: &str| Component { source: source.clone(), prefix: prefix.to_owned() };
        let card = source
            .metadata(keys::CARD)
            .map(serde_json::from_str)
            .transpose()
            .map_err(|source| ConfigError::Json { part: "card", source })?
            .unwrap_or_default();
        Ok(Self {
            unet_config: get(keys::UNET)?,
            text_config: get(keys::TEXT)?,
            scheduler_config: get(keys::SCHEDULER)?,
            vocab: get(keys::VOCAB)?,
            merges: get(keys::MERGES)?,
            pad_token: get(keys::PAD)?,
            unet: part("unet"),
            vae: match source.metadata(keys::TAESD) {
                // Only a model with a small one can do without.
                Some(_) => source.metadata(keys::VAE).map(|config| (config.to_owned(), part("vae"))),
                None => Some((get(keys::VAE)?, part("vae"))),
            },
            text_encoder: part("text_encoder"),
            text_encoder_2: source.metadata(keys::TEXT_2).map(|config| SecondTextEncoder {
                config: config.to_owned(),
                component: part("text_encoder_2"),
                pad_token: source.metadata(keys::PAD_2).unwrap_or("!").to_owned(),
                force_zeros: source.metadata(keys::FORCE_ZEROS) != Some("false"),
            }),
            added_tokens: Vec::new(),
            tiny_vae: source.metadata(keys::TAESD).map(|config| (config.to_owned(), part("taesd"))),
            card,
        })
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod folder {
    use super::{Component, ModelCard, ModelFiles, ModelFilesError, SecondTextEncoder};
    use crate::{
        checkpoint::{self, CheckpointOptions, KnownConfigs},
        config::ConfigError,
    };
    use std::{
        fs,
        path::{Path, PathBuf},
        rc::Rc,
    };

    fn text(folder: &Path, name: &str) -> Result<String, ModelFilesError> {
        let path = folder.join(name);
        if !path.is_file() {
            return Err(ModelFilesError::Missing(path.display().to_string()));
        }
        fs::read_to_string(&path).map_err(|source| ModelFilesError::Io { file: path.display().to_string(), source })
    }

    /// The one weights file of a part: whole before sharded, full precision before a variant, safetensors before a pickle
    /// (which is opened only to be refused with a reason).
    fn weights_file(folder: &Path) -> Result<PathBuf, ModelFilesError> {
        let stems = ["diffusion_pytorch_model", "model"];
        let endings =
            ["safetensors", "safetensors.index.json", "fp16.safetensors", "fp16.safetensors.index.json", "gguf", "bin"];
        endings
            .iter()
            .flat_map(|ending| stems.map(|stem| folder.join(format!("{stem}.{ending}"))))
            .chain([folder.join("pytorch_model.bin")])
            .find(|path| path.is_file())
            .or_else(|| variant(folder))
            .ok_or_else(|| {
                ModelFilesError::Missing(folder.join("diffusion_pytorch_model.safetensors").display().to_string())
            })
    }

    /// The first of other variants, such as `diffusion_pytorch_model.fp8.safetensors`.
    fn variant(folder: &Path) -> Option<PathBuf> {
        let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
    }

    fn component(folder: &Path) -> Result<Component, ModelFilesError> {
        let path = weights_file(folder)?;
        let source = weights::open_path(&path)
            .map_err(|source| ModelFilesError::Weights { file: path.display().to_string(), source })?;
        Ok(Component { source: Rc::from(source), prefix: String::new() })
    }

    impl ModelFiles {
        /// A model in diffusers' folder layout, in one GGUF, or in a file of its own under the original names.
        ///
        /// # Errors
        /// [`ModelFilesError`] naming the file.
        pub fn open(path: &Path) -> Result<Self, ModelFilesError> {
            Self::open_with(path, CheckpointOptions::default())
        }

        /// The same with what a file of tensors alone has not.
        ///
        /// # Errors
        /// [`ModelFilesError`] naming the file.
        pub fn open_with(path: &Path, options: CheckpointOptions) -> Result<Self, ModelFilesError> {
            if path.is_dir() {
                return Self::from_folder(path);
            }
            let file = path.display().to_string();
            if !path.exists() {
                return Err(ModelFilesError::Missing(file));
            }
            let source = weights::open_path(path).map_err(|source| ModelFilesError::Weights { file, source })?;
            let source: Rc<dyn weights::TensorSource> = Rc::from(source);
            // Files of ours under the original names carry the configurations as well.
            let is_ours = source.tensors().iter().any(|info| info.name.starts_with("unet."));
            if is_ours && source.metadata(super::keys::UNET).is_some() {
                return Self::from_gguf(&source);
            }
            let mut files = checkpoint::open(&source, options)?;
            if files.card.name.is_empty() {
                let stem = path.file_stem().unwrap_or_default();
                files.card.name = stem.to_string_lossy().into_owned();
            }
            Ok(files)
        }

        /// A model in diffusers' folder layout.
        ///
        /// # Errors
        /// [`ModelFilesError`] naming the file.
        pub fn from_folder(folder: &Path) -> Result<Self, ModelFilesError> {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let card = match text(folder, "card.json") {
                Ok(card) => serde_json::from_str(&card).map_err(|source| ConfigError::Json { part: "card", source })?,
                Err(_) => ModelCard { name, ..ModelCard::default() },
            };
            let [vae, tiny] = ["vae", "taesd"].map(|part| folder.join(part));
            let autoencoder =
                |folder: &Path| Ok::<_, ModelFilesError>((text(folder, "config.json")?, component(folder)?));
            Ok(Self {
                unet_config: text(folder, "unet/config.json")?,
                text_config: text(folder, "text_encoder/config.json")?,
                scheduler_config: text(folder, "scheduler/scheduler_config.json")?,
                vocab: text(folder, "tokenizer/vocab.json")?,
                merges: text(folder, "tokenizer/merges.txt")?,
                pad_token: pad_token_in(&folder.join("tokenizer")).unwrap_or("<|endoftext|>".to_owned()),
                unet: component(&folder.join("unet"))?,
                vae: if tiny.is_dir() && !vae.is_dir() { None } else { Some(autoencoder(&vae)?) },
                text_encoder: component(&folder.join("text_encoder"))?,
                text_encoder_2: second_text_encoder(folder)?,
                added_tokens: Vec::new(),
                tiny_vae: if tiny.is_dir() { Some(autoencoder(&tiny)?) } else { None },
                card,
            })
        }
    }

    impl KnownConfigs {
        /// Those that a folder in diffusers' layout has.
        pub fn from_folder(folder: &Path) -> Self {
            let config = |part: &str| text(folder, &format!("{part}/config.json")).ok();
            Self {
                unet: config("unet"),
                vae: config("vae"),
                text_encoder: config("text_encoder"),
                text_encoder_2: config("text_encoder_2"),
                scheduler: text(folder, "scheduler/scheduler_config.json").ok(),
            }
        }
    }

    fn second_text_encoder(folder: &Path) -> Result<Option<SecondTextEncoder>, ModelFilesError> {
        let part = folder.join("text_encoder_2");
        if !part.is_dir() {
            return Ok(None);
        }
        let index = text(folder, "model_index.json").unwrap_or_default();
        let index: serde_json::Value = serde_json::from_str(&index).unwrap_or_default();
        Ok(Some(SecondTextEncoder {
            config: text(&part, "config.json")?,
            component: component(&part)?,
            pad_token: pad_token_in(&folder.join("tokenizer_2")).unwrap_or("!".to_owned()),
            force_zeros: index["force_zeros_for_empty_prompt"].as_bool().unwrap_or(true),
        }))
    }

    fn pad_token_in(folder: &Path) -> Option<String> {
        let read = |name| text(folder, name).unwrap_or_default();
        pad_token(&read("tokenizer_config.json")).or_else(|| pad_token(&read("special_tokens_map.json")))
    }

    /// A plain string, or an object with `content`.
    fn pad_token(json: &str) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(json).ok()?;
        let token = value.get("pad_token")?;
        token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned)
    }
}
