//! What is asked for, the same from every dialect: valid by construction, and with its price computable from it alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{GenerateSpec, ModelId};

/// A picture that a client points to or sends; fetched, decoded and measured later, by those who may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// An address, not checked yet.
    Url(String),
    /// Base64, without the head of a data URL.
    Base64(String),
    /// What was uploaded before.
    Upload(String),
}

impl ImageSource {
    /// Reads what older clients put into one field: an address, a data URL (RFC 2397) or bare base64.
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let is_data = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"));
        if is_data && let Some((_, data)) = text.split_once(',') {
            return Self::Base64(data.to_owned());
        }
        if text.contains("://") { Self::Url(text.to_owned()) } else { Self::Base64(text.to_owned()) }
    }
}

/// The work itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Words become pictures.
    Generate {
        /// Everything that decides them.
        spec: GenerateSpec,
    },
    /// A picture and words become pictures.
    Edit {
        /// Everything that decides them, with a strength.
        spec: GenerateSpec,
        /// The picture.
        image: ImageSource,
    },
    /// A picture's masked part is painted anew.
    Inpaint {
        /// Everything that decides it, with a strength.
        spec: GenerateSpec,
        /// The picture.
        image: ImageSource,
        /// White where it is painted.
        mask: ImageSource,
    },
    /// A picture becomes larger.
    Upscale {
        /// The picture.
        image: ImageSource,
        /// How many times as wide and as high, 1 to 4.
        factor: u32,
    },
    /// A picture becomes the largest square in its middle.
    Crop {
        /// The picture.
        image: ImageSource,
    },
    /// A picture is judged, and comes back as it was.
    Check {
        /// The picture.
        image: ImageSource,
        /// It is flagged from this score on, 0 to 1.
        threshold: f32,
    },
}

impl Task {
    /// What decides the pictures that are drawn; `None` where none are.
    pub const fn spec(&self) -> Option<&GenerateSpec> {
        match self {
            Self::Generate { spec } | Self::Edit { spec, .. } | Self::Inpaint { spec, .. } => Some(spec),
            Self::Upscale { .. } | Self::Crop { .. } | Self::Check { .. } => None,
        }
    }

    /// Files that come of it.
    pub fn outputs(&self) -> u32 {
        self.spec().map_or(1, |spec| spec.batch.get())
    }

    /// Pictures that are paid for: what only cuts or judges costs nothing.
    pub fn pictures(&self) -> u32 {
        if matches!(self, Self::Crop { .. } | Self::Check { .. }) { 0 } else { self.outputs() }
    }

    /// Its word on the wire, which nodes say they can do.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Generate { .. } => "generate",
            Self::Edit { .. } => "edit",
            Self::Inpaint { .. } => "inpaint",
            Self::Upscale { .. } => "upscale",
            Self::Crop { .. } => "crop",
            Self::Check { .. } => "check",
        }
    }
}

/// What is done to a picture that is not fit for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Censor {
    /// It is blurred.
    Blur,
    /// A grey picture with a sentence.
    #[default]
    SensitiveContentText,
    /// It is made of large squares.
    Pixelate,
    /// It is black.
    Black,
}

/// How the answer comes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Pictures are written into the answer.
    pub base64: bool,
    /// Links work for a day only.
    pub temporary: bool,
    /// The answer does not wait for the pictures.
    pub instant: bool,
    /// Where the end is told, an address that is not checked yet.
    pub webhook: Option<String>,
    /// What is told there beside it.
    pub track_id: Option<Value>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRequest {
    /// The work.
    pub task: Task,
    /// The model; `None` takes the pool's own.
    pub model: Option<ModelId>,
    /// What the checker does; `None` leaves pictures unchecked where the plan allows that.
    pub censor: Option<Censor>,
    /// Pictures are enlarged this many times at the end, 1 to 3.
    pub upscale: u32,
    /// How the answer comes.
    pub delivery: Delivery,
}
