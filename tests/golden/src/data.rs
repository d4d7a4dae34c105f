//! The recorded models and cases.

use crate::{Tensors, read_all, to_safetensors};
use anyhow::{Context as _, Result, bail, ensure};
use diffusion::{
    controlnet::ControlNetFiles,
    pipeline::{Component, ModelCard, ModelFiles, SecondTextEncoder, SizeConditioning},
};
use serde::Deserialize;
use std::{collections::BTreeMap, io, rc::Rc};
use weights::{Dtype, RawTensor, SafetensorsFile, TensorSource};

/// `cases.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Whole models.
    pub models: Vec<Model>,
    /// What is compared.
    pub cases: Vec<Case>,
}

/// Where the parts of a model lie.
#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The folder of its denoiser, text encoder and scheduler.
    pub folder: String,
    /// The folder of its text encoder and scheduler, where another model has them.
    pub base: Option<String>,
    /// The folder of its autoencoder, which models share.
    pub vae: String,
    /// The folder of its vocabulary, which models share.
    pub tokenizer: String,
    /// The token that fills the context.
    pub pad_token: String,
    /// The folder of its text encoder, where models share it.
    #[serde(default)]
    pub text_encoder: Option<String>,
    /// The second text encoder of Stable Diffusion XL.
    #[serde(default)]
    pub text_encoder_2: Option<SecondModel>,
    /// The autoencoder's factor, where models share its weights and not that.
    #[serde(default)]
    pub scaling_factor: Option<f64>,
    /// `scheduler_config.json`, where it is not that of its folder.
    #[serde(default)]
    pub scheduler: Option<serde_json::Value>,
}

/// Where a second text encoder lies.
#[derive(Debug, Clone, Deserialize)]
pub struct SecondModel {
    /// Its folder.
    pub folder: String,
    /// The token that fills its context.
    pub pad_token: String,
}

/// One recorded computation.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The file of inputs and outputs.
    pub file: String,
    /// Largest relative error of an output.
    pub tolerance: f64,
    /// What was computed.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a case computed.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Tokenizer and text encoder.
    Text {
        /// Whose.
        model: String,
        /// What was encoded.
        prompts: Vec<String>,
    },
    /// Prompts with weights, and longer than one chunk.
    Prompts {
        /// Whose.
        model: String,
        /// What was encoded, under what name.
        prompts: BTreeMap<String, String>,
    },
    /// One pass of the denoiser.
    Unet {
        /// Whose.
        model: String,
    },
    /// Both ways through the autoencoder.
    Vae {
        /// Whose.
        model: String,
    },
    /// Both ways through the autoencoder in tiles.
    VaeTiled {
        /// Whose.
        model: String,
        /// Latents along a side of a tile.
        tile: usize,
    },
    /// Both ways through the small autoencoder.
    Taesd {
        /// Where it lies.
        folder: String,
    },
    /// All steps of a scheduler with a stand-in for the model.
    Scheduler {
        /// The scheduler.
        scheduler: spec::SchedulerKind,
        /// `scheduler_config.json`.
        config: serde_json::Value,
        /// How many steps.
        steps: usize,
    },
    /// A whole run from noise.
    Text2img {
        /// Whose.
        model: String,
        /// Its parameters.
        request: Run,
        /// What is added to its weights.
        #[serde(default)]
        loras: Vec<LoraRun>,
    },
    /// A text with a learned word.
    Embedding {
        /// Whose.
        model: String,
        /// The file of the word's vectors.
        embedding: String,
        /// What was encoded.
        prompt: String,
    },
    /// A whole run from a picture.
    Img2img {
        /// Whose.
        model: String,
        /// Its parameters.
        request: Run,
    },
    /// A whole run from noise that ControlNets steer.
    Controlnet {
        /// Whose.
        model: String,
        /// Its parameters.
        request: Run,
        /// The networks.
        controls: Vec<ControlRun>,
    },
    /// A whole run from a picture of which a part is repainted.
    Inpaint {
        /// Whose.
        model: String,
        /// Its parameters.
        request: Run,
    },
    /// A picture through networks that enlarge it.
    Upscale {
        /// Where they lie.
        folder: String,
        /// Their files' stems, and the names of what comes out.
        networks: Vec<String>,
    },
    /// A picture through the network that draws lines.
    LineArt {
        /// Its file.
        weights: String,
    },
    /// A whole run of two passes, with latents enlarged between them.
    Hires {
        /// Whose.
        model: String,
        /// Its parameters.
        request: Run,
        /// Steps of the second pass.
        steps: spec::Steps,
        /// Pixels across, of the finished pictures.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Pictures through the network that estimates depth.
    Depth {
        /// Where it lies.
        folder: String,
    },
    /// Pictures, masks and latents that are prepared and resized.
    Pictures,
    /// Noise of seeds.
    Noise,
    /// The safety checker's network and its verdicts.
    Safety {
        /// Where it lies.
        folder: String,
    },
    /// A whole run from noise with switches on the denoiser.
    Switched {
        /// Whose.
        model: String,
        /// Its parameters.
        request: Run,
    },
    /// Pictures as CLIP takes them.
    #[serde(rename = "clip-input")]
    ClipInput {
        /// Side of the square.
        side: usize,
    },
    /// Increments of seeds' Brownian paths.
    Brownian,
}

/// Parameters of a whole run.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// One prompt for each picture.
    pub prompts: Vec<String>,
    /// One negative prompt for each.
    pub negative_prompts: Vec<String>,
    /// Denoising steps.
    pub steps: spec::Steps,
    /// Guidance scale.
    pub guidance: spec::Guidance,
    /// Guidance rescale.
    #[serde(default)]
    pub guidance_rescale: spec::GuidanceRescale,
    /// Which text-encoder layer is used.
    #[serde(default)]
    pub clip_skip: spec::ClipSkip,
    /// How much of an initial picture is repainted.
    #[serde(default)]
    pub strength: spec::Strength,
    /// What Stable Diffusion XL is told of sizes.
    #[serde(default)]
    pub sizes: SizeConditioning,
    /// What it does otherwise.
    #[serde(default)]
    pub switches: diffusion::pipeline::Switches,
    /// The scheduler, where it is not the model's own.
    #[serde(default)]
    pub scheduler: Option<spec::SchedulerKind>,
    /// Its share of noise.
    #[serde(default)]
    pub eta: Option<f64>,
    /// The first picture's seed, where the run draws all of its noise itself.
    #[serde(default)]
    pub noise_seed: Option<u64>,
}

/// One LoRA in a run.
#[derive(Debug, Clone, Deserialize)]
pub struct LoraRun {
    /// Its file.
    pub file: String,
    /// How much of it is added.
    pub weight: f64,
}

/// One ControlNet in a run.
#[derive(Debug, Clone, Deserialize)]
pub struct ControlRun {
    /// The folder of the network.
    pub folder: String,
    /// The name of its picture among the recorded tensors.
    pub picture: String,
    /// How strongly it steers.
    pub weight: f64,
    /// The share of the steps after which it begins.
    pub start: f64,
    /// The share of the steps after which it ends.
    pub end: f64,
    /// Whether it guesses without a prompt.
    pub guess_mode: bool,
}

type Read = Box<dyn Fn(&str) -> io::Result<Vec<u8>>>;

/// Delivers the recorded files by name.
pub struct Data {
    read: Read,
}

impl Data {
    /// Files that `read` delivers, by their path below `data/`.
    pub fn new(read: impl Fn(&str) -> io::Result<Vec<u8>> + 'static) -> Self {
        Self { read: Box::new(read) }
    }

    /// The folder `data/` of this crate.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn folder() -> Self {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        Self::new(move |path| std::fs::read(folder.join(path)))
    }

    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        (self.read)(path).with_context(|| format!("cannot read {path}"))
    }

    /// A text file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.bytes(path)?).with_context(|| format!("{path} is not text"))
    }

    fn source(&self, path: &str) -> Result<SafetensorsFile<Vec<u8>>> {
        SafetensorsFile::open(self.bytes(path)?).with_context(|| format!("cannot open {path}"))
    }

    /// All tensors of a file.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn tensors(&self, path: &str) -> Result<Tensors> {
        read_all(&self.source(path)?)
    }

    /// The list of models and cases.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn manifest(&self) -> Result<Manifest> {
        serde_json::from_str(&self.text("cases.json")?).context("cannot read cases.json")
    }

    /// The weights of a part as a file of its own.
    ///
    /// # Errors
    /// When they are not there or damaged.
    pub fn component(&self, path: &str) -> Result<Component> {
        let source = self.source(path)?;
        let is_trimmed = source.info(&format!("{EMBEDDING}.rows")).is_some();
        let source: Rc<dyn TensorSource> =
            if is_trimmed { Rc::new(whole(read_all(&source)?)?) } else { Rc::new(source) };
        Ok(Component { source, prefix: String::new() })
    }

    /// A ControlNet in a folder.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn controlnet(&self, folder: &str) -> Result<ControlNetFiles> {
        Ok(ControlNetFiles {
            config: self.text(&format!("{folder}/config.json"))?,
            weights: self.component(&format!("{folder}/diffusion_pytorch_model.safetensors"))?,
        })
    }

    /// All parts of a model.
    ///
    /// # Errors
    /// When one is not there or damaged.
    pub fn model(&self, name: &str) -> Result<ModelFiles> {
        let manifest = self.manifest()?;
        let model = manifest.models.into_iter().find(|model| model.name == name);
        let model = model.with_context(|| format!("no model {name}"))?;
        let Model {
            folder,
            base,
            vae,
            tokenizer,
            pad_token,
            text_encoder,
            text_encoder_2,
            scaling_factor,
            scheduler,
            ..
        } = model;
        let base = base.as_ref().unwrap_or(&folder);
        let text_encoder = text_encoder.unwrap_or_else(|| format!("{base}/text_encoder"));
        let second = text_encoder_2.map(|SecondModel { folder, pad_token }| {
            Ok::<_, anyhow::Error>(SecondTextEncoder {
                config: self.text(&format!("{folder}/config.json"))?,
                component: self.component(&format!("{folder}/model.safetensors"))?,
                pad_token,
                force_zeros: true,
            })
        });
        let mut vae_config: serde_json::Value = serde_json::from_str(&self.text(&format!("{vae}/config.json"))?)?;
        if let Some(factor) = scaling_factor {
            vae_config["scaling_factor"] = factor.into();
        }
        let scheduler_config = match scheduler {
            Some(config) => config.to_string(),
            None => self.text(&format!("{base}/scheduler/scheduler_config.json"))?,
        };
        Ok(ModelFiles {
            unet_config: self.text(&format!("{folder}/unet/config.json"))?,
            text_config: self.text(&format!("{text_encoder}/config.json"))?,
            scheduler_config,
            vocab: self.text(&format!("{tokenizer}/vocab.json"))?,
            merges: self.text(&format!("{tokenizer}/merges.txt"))?,
            pad_token,
            unet: self.component(&format!("{folder}/unet/diffusion_pytorch_model.safetensors"))?,
            vae: Some((vae_config.to_string(), self.component(&format!("{vae}/diffusion_pytorch_model.safetensors"))?)),
            text_encoder: self.component(&format!("{text_encoder}/model.safetensors"))?,
            text_encoder_2: second.transpose()?,
            added_tokens: Vec::new(),
            tiny_vae: None,
            card: ModelCard::default(),
        })
    }
}

/// The table that is stored in part.
const EMBEDDING: &str = "text_model.embeddings.token_embedding.weight";
/// Ids of the vocabulary.
const VOCABULARY: usize = 49_408;

/// Puts the rows that were kept of a token embedding back into their places, with zeros between them.
fn whole(mut tensors: Tensors) -> Result<SafetensorsFile<Vec<u8>>> {
    let rows = tensors.remove(&format!("{EMBEDDING}.rows")).context("the rows are not listed")?;
    let kept = tensors.remove(&format!("{EMBEDDING}.kept")).context("the rows are not there")?;
    let [count, width] = kept.shape[..] else { bail!("the rows are not a matrix") };
    ensure!(kept.dtype == Dtype::F16 && rows.shape == [count], "the rows and their list differ");
    let row = width * kept.dtype.block_bytes();
    let mut bytes = vec![0; VOCABULARY * row];
    for (&id, values) in rows.to_f32().iter().zip(kept.bytes.chunks_exact(row)) {
        let start = id as usize * row;
        bytes[start..start + row].copy_from_slice(values);
    }
    tensors.insert(EMBEDDING.to_owned(), RawTensor { dtype: kept.dtype, shape: vec![VOCABULARY, width], bytes });
    Ok(SafetensorsFile::open(to_safetensors(&tensors)?)?)
}
