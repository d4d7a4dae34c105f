//! What pictures say of how they were drawn: web UIs' parameters, InvokeAI's and ComfyUI's JSON, wherever a file keeps them.

mod comfy;
mod container;
mod exif;
mod invoke;
mod web_ui;

use crate::ExtraNetwork;
use serde_json::{Value, json};
use spec::{NoiseKind, SchedulerKind};
use std::{
    fmt::Write as _,
    io::{Read, Seek},
};
use thiserror::Error;

pub(crate) use web_ui::joined;
pub use web_ui::{parse as parse_infotext, quoted};

/// Longest JSON text that is read.
const MAX_JSON: usize = 2 << 20;
/// Longest parameters text that is read.
const MAX_INFOTEXT: usize = 1 << 20;

/// Metadata that cannot be read.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// The file cannot be read, or ends within something.
    #[error("the picture is cut off or cannot be read")]
    Read(#[from] std::io::Error),
    /// The file is no picture of a known kind.
    #[error("it is neither a PNG nor a JPEG nor a WebP")]
    Container,
    /// A text of more than anyone writes.
    #[error("its text `{name}` has more than {most} bytes")]
    Large {
        /// What the file calls it.
        name: String,
        /// Bytes that are read.
        most: usize,
    },
    /// A packed text that cannot be unpacked.
    #[error("its text `{0}` is damaged and cannot be unpacked")]
    Packed(String),
    /// A text that must be JSON and is not, or nests too deep.
    #[error("its text `{name}` is not the JSON that it should be")]
    Json {
        /// What the file calls it.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A workflow in which nothing is sampled.
    #[error("its workflow has no sampler that is known, so there is nothing to repeat")]
    Workflow,
}

/// Whose metadata it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Stable Diffusion web UI, and everyone who writes as it does: Darkroom too.
    WebUi,
    /// `InvokeAI`.
    InvokeAi,
    /// `ComfyUI`.
    ComfyUi,
}

impl Origin {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebUi => "web UI",
            Self::InvokeAi => "InvokeAI",
            Self::ComfyUi => "ComfyUI",
        }
    }
}

/// How a picture was drawn, as far as it says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// Who wrote it.
    pub origin: Origin,
    /// The text as the file has it.
    pub raw: String,
    /// What to draw.
    pub prompt: String,
    /// What to keep away from.
    pub negative_prompt: String,
    /// Denoising steps.
    pub steps: Option<u32>,
    /// The sampler, in its writer's words.
    pub sampler: Option<String>,
    /// The spacing of its steps, in its writer's words.
    pub schedule_type: Option<String>,
    /// Guidance scale.
    pub guidance: Option<f64>,
    /// Guidance rescale.
    pub guidance_rescale: Option<f64>,
    /// The seed.
    pub seed: Option<u64>,
    /// Width and height of the first pass.
    pub size: Option<(u32, u32)>,
    /// Layer of the text encoder, counted from the last.
    pub clip_skip: Option<u32>,
    /// How much of an initial picture was repainted.
    pub strength: Option<f64>,
    /// Generator of the noise.
    pub noise: Option<NoiseKind>,
    /// The model's name.
    pub model: Option<String>,
    /// Networks that are not in the prompt.
    pub networks: Vec<ExtraNetwork>,
    /// Everything else, in the order of the text.
    pub others: Vec<(String, String)>,
}

impl Metadata {
    fn new(origin: Origin, raw: &str) -> Self {
        Self {
            origin,
            raw: raw.to_owned(),
            prompt: String::new(),
            negative_prompt: String::new(),
            steps: None,
            sampler: None,
            schedule_type: None,
            guidance: None,
            guidance_rescale: None,
            seed: None,
            size: None,
            clip_skip: None,
            strength: None,
            noise: None,
            model: None,
            networks: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The metadata of a PNG, JPEG or WebP; `None` where it says nothing.
    ///
    /// # Errors
    /// [`MetadataError`] for a damaged file, and for texts that are larger or deeper than any program writes.
    pub fn read(picture: &mut (impl Read + Seek)) -> Result<Option<Self>, MetadataError> {
        let texts = container::texts(picture)?;
        let text = |name: &str| texts.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str());
        if let Some(text) = text("parameters") {
            return parameters(text).map(Some);
        }
        for name in ["invokeai_metadata", "sd-metadata"] {
            if let Some(text) = text(name) {
                return invoke::parse(name, text).map(Some);
            }
        }
        if let Some(text) = text("Dream") {
            return Ok(Some(invoke::parse_command(text)));
        }
        match (text("prompt"), text(exif::COMMENT)) {
            (Some(text), _) => comfy::parse(text).map(Some),
            (None, Some(text)) if text.trim_start().starts_with('{') => comfy::parse(text).map(Some),
            (None, Some(text)) => parameters(text).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The scheduler that its sampler is, if that is one of ours.
    pub fn scheduler(&self) -> Option<SchedulerKind> {
        let sampler = self.sampler.as_deref()?;
        let named = SchedulerKind::from_web_ui(sampler, self.schedule_type.as_deref()).ok();
        // InvokeAI's names end with a letter where the noise levels are Karras'.
        let karras = || SchedulerKind::from_web_ui(sampler.strip_suffix("_k")?, Some("Karras")).ok();
        named.or_else(|| karras().filter(|_| self.origin == Origin::InvokeAi))
    }

    /// The prompt with the networks that stand outside of it.
    pub fn prompt_with_networks(&self) -> String {
        let mut prompt = self.prompt.clone();
        for ExtraNetwork { name, unet_weight, text_weight } in &self.networks {
            // Writing to a text cannot fail.
            write!(prompt, " <lora:{name}:{text_weight}:{unet_weight}>").ok();
        }
        prompt
    }

    /// Everything as one JSON object; what it does not say is left out.
    pub fn json(&self) -> Value {
        let networks: Vec<_> = self
            .networks
            .iter()
            .map(|one| json!({ "name": one.name, "unet_weight": one.unet_weight, "text_weight": one.text_weight }))
            .collect();
        let all = json!({
            "origin": self.origin.as_str(),
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "steps": self.steps,
            "sampler": self.sampler,
            "schedule_type": self.schedule_type,
            "scheduler": self.scheduler().map(|kind| kind.to_string()),
            "guidance": self.guidance,
            "guidance_rescale": self.guidance_rescale,
            "seed": self.seed,
            "width": self.size.map(|(width, _)| width),
            "height": self.size.map(|(_, height)| height),
            "clip_skip": self.clip_skip,
            "strength": self.strength,
            "noise": self.noise.map(NoiseKind::as_str),
            "model": self.model,
            "networks": networks,
            "others": self.others.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect::<serde_json::Map<_, _>>(),
        });
        match all {
            Value::Object(map) => Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect()),
            other => other,
        }
    }

    /// Everything for a reader: the text as it is where it is one, else the same in a web UI's form.
    pub fn text(&self) -> String {
        if self.origin == Origin::WebUi {
            return self.raw.clone();
        }
        let mut pairs: Vec<(&str, String)> = Vec::new();
        let mut push = |key, value: Option<String>| pairs.extend(value.map(|value| (key, value)));
        push("Steps", self.steps.map(|value| value.to_string()));
        push("Sampler", self.sampler.clone());
        push("Schedule type", self.schedule_type.clone());
        push("CFG scale", self.guidance.map(|value| value.to_string()));
        push("Seed", self.seed.map(|value| value.to_string()));
        push("Size", self.size.map(|(width, height)| format!("{width}x{height}")));
        push("Model", self.model.clone());
        push("Denoising strength", self.strength.map(|value| value.to_string()));
        push("Clip skip", self.clip_skip.map(|value| value.to_string()));
        let others = self.others.iter().map(|(key, value)| (key.as_str(), value.clone()));
        pairs.extend(others);
        pairs.push(("Made with", self.origin.as_str().to_owned()));
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}: {}", web_ui::quoted(value))).collect();
        web_ui::joined(&self.prompt_with_networks(), &self.negative_prompt, &pairs)
    }
}

fn parameters(text: &str) -> Result<Metadata, MetadataError> {
    if text.len() > MAX_INFOTEXT {
        return Err(MetadataError::Large { name: "parameters".to_owned(), most: MAX_INFOTEXT });
    }
    Ok(parse_infotext(text))
}

/// A JSON text of bounded length; nesting is bounded by the parser.
fn json_of(name: &'static str, text: &str) -> Result<Value, MetadataError> {
    if text.len() > MAX_JSON {
        return Err(MetadataError::Large { name: name.to_owned(), most: MAX_JSON });
    }
    serde_json::from_str(text).map_err(|source| MetadataError::Json { name, source })
}

/// A whole number that may be written as text.
fn whole(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|value| value.fract() == 0.0 && *value >= 0.0).map(|value| value as u64))
        .or_else(|| value.as_str()?.parse().ok())
}

fn small(value: &Value) -> Option<u32> {
    u32::try_from(whole(value)?).ok()
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|value| value.is_finite())
}
