//! Which family of models weights belong to.

use diffusion::pipeline::ModelCard;
use serde_json::Value;
use weights::TensorInfo;

/// A family of models, told by what is in the files and never by what they are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Conditioned by CLIP ViT-L/14, 768 wide.
    StableDiffusion1,
    /// Conditioned by `OpenCLIP` ViT-H/14, 1024 wide.
    StableDiffusion2,
    /// Conditioned by two encoders, and by sizes.
    StableDiffusionXl,
    /// Our own, which says of itself which words it knows.
    DarkroomDemo,
    /// Anything else.
    Unknown,
}

impl Family {
    /// The name for people and for JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StableDiffusion1 => "Stable Diffusion 1.x",
            Self::StableDiffusion2 => "Stable Diffusion 2.x",
            Self::StableDiffusionXl => "Stable Diffusion XL",
            Self::DarkroomDemo => "darkroom demo",
            Self::Unknown => "unknown",
        }
    }

    /// The word for it on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::StableDiffusion1 => "sd15",
            Self::StableDiffusion2 => "sd21",
            Self::StableDiffusionXl => "sdxl",
            Self::DarkroomDemo => "demo",
            Self::Unknown => "other",
        }
    }

    /// The family of a denoiser with this conditioning.
    pub fn of(conditioning: Conditioning, card: Option<&ModelCard>) -> Self {
        let Conditioning { width, has_sizes } = conditioning;
        match width {
            Some(768) => Self::StableDiffusion1,
            Some(1024) => Self::StableDiffusion2,
            Some(2048) => Self::StableDiffusionXl,
            _ if has_sizes => Self::StableDiffusionXl,
            _ if card.is_some_and(|card| !card.known_words.is_empty()) => Self::DarkroomDemo,
            _ => Self::Unknown,
        }
    }
}

/// What a denoiser is conditioned by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditioning {
    /// Width of the text's vectors, `cross_attention_dim`.
    pub width: Option<usize>,
    /// Whether sizes and a pooled text come in beside the timestep.
    pub has_sizes: bool,
}

impl Conditioning {
    /// As `unet/config.json` says.
    pub fn of_config(unet_config: &str) -> Self {
        let config: Value = serde_json::from_str(unet_config).unwrap_or_default();
        let dim = &config["cross_attention_dim"];
        let width = dim.as_u64().or_else(|| dim.as_array()?.iter().filter_map(Value::as_u64).max());
        Self { width: width.map(|width| width as usize), has_sizes: config["addition_embed_type"] == "text_time" }
    }

    /// As the tensors show, under diffusers' names and under the original ones.
    pub fn of_tensors(tensors: &[TensorInfo]) -> Self {
        let width = tensors
            .iter()
            .find(|info| info.name.ends_with("attn2.to_k.weight") && info.shape.len() == 2)
            .and_then(|info| info.shape.last().copied());
        let has_sizes = tensors.iter().any(|info| {
            info.name.contains("add_embedding.linear_1.weight") || info.name.contains("label_emb.0.0.weight")
        });
        Self { width, has_sizes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weights::Dtype;

    fn tensor(name: &str, shape: &[usize]) -> TensorInfo {
        TensorInfo { name: name.to_owned(), dtype: Dtype::F16, shape: shape.to_vec(), offset: 0, bytes: 0 }
    }

    #[test]
    fn families_are_told_by_config_and_by_tensors_alike() {
        let of_config = |config| Family::of(Conditioning::of_config(config), None);
        assert_eq!(of_config(r#"{"cross_attention_dim":768}"#), Family::StableDiffusion1);
        assert_eq!(of_config(r#"{"cross_attention_dim":[1024,1024]}"#), Family::StableDiffusion2);
        assert_eq!(
            of_config(r#"{"cross_attention_dim":64,"addition_embed_type":"text_time"}"#),
            Family::StableDiffusionXl
        );
        assert_eq!(of_config("not JSON"), Family::Unknown);

        let attention = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight";
        let of_tensors = |tensors: &[_]| Family::of(Conditioning::of_tensors(tensors), None);
        assert_eq!(of_tensors(&[tensor(attention, &[320, 768])]), Family::StableDiffusion1);
        assert_eq!(of_tensors(&[tensor(attention, &[320, 1024])]), Family::StableDiffusion2);
        assert_eq!(of_tensors(&[tensor(attention, &[640, 2048])]), Family::StableDiffusionXl);
        assert_eq!(of_tensors(&[tensor("encoder.conv_in.weight", &[128, 3, 3, 3])]), Family::Unknown);

        let card = ModelCard { known_words: vec!["apple".to_owned()], ..ModelCard::default() };
        let narrow = Conditioning { width: Some(128), has_sizes: false };
        assert_eq!(Family::of(narrow, Some(&card)), Family::DarkroomDemo);
    }
}
