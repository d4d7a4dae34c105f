//! What is in a file of weights, told by its tensors and never by its name.

use super::layout::{Layout, Place, Style};
use std::fmt;
use weights::TensorInfo;

/// The generation of Stable Diffusion that a denoiser is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Conditioned by CLIP ViT-L/14; its transformers' projections are convolutions.
    Sd1,
    /// Conditioned by `OpenCLIP` ViT-H/14; its transformers' projections are linear layers.
    Sd2,
    /// Conditioned by two encoders, and by sizes.
    Sdxl,
    /// The same with the second encoder alone, for the last steps.
    SdxlRefiner,
}

/// What a denoiser is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Pictures from texts.
    TextToImage,
    /// Parts of pictures: latents, a mask and what the mask leaves, nine channels.
    Inpainting,
    /// Pictures like a depth map, five channels.
    Depth,
    /// Pictures by an instruction, eight channels.
    Editing,
    /// Larger pictures, seven channels.
    Upscaling,
    /// Something else, of so many channels.
    Other(usize),
}

/// A denoiser, as its tensors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenoiserKind {
    /// Its generation.
    pub generation: Generation,
    /// What it is for.
    pub purpose: Purpose,
    /// Width of the text's vectors.
    pub context: usize,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Denoiser, autoencoder and text encoder.
    Model(DenoiserKind),
    /// A denoiser without something that a picture needs too.
    Denoiser(DenoiserKind),
    /// An autoencoder alone.
    Autoencoder,
    /// A text encoder alone.
    TextEncoder,
    /// A small autoencoder for previews.
    TinyAutoencoder,
    /// A `ControlNet`.
    ControlNet,
    /// A low-rank adapter.
    Lora,
    /// Vectors for new words.
    TextualInversion,
    /// A network that enlarges pictures.
    Upscaler,
    /// A network that finds what is not to be shown.
    SafetyChecker,
    /// A model of another architecture, which is not supported.
    Foreign(&'static str),
    /// Anything else.
    Unknown,
}

/// Parts of names that only one architecture has.
const FOREIGN: [(&[&str], &str); 13] = [
    (&["joint_blocks."], "Stable Diffusion 3"),
    (&["double_blocks.", "img_in."], "Flux"),
    (&["single_transformer_blocks.", "x_embedder."], "Flux"),
    (&["double_layers.", "single_layers."], "AuraFlow"),
    (&["adaln_single.", "transformer_blocks."], "PixArt or LTX"),
    (&["cap_embedder.", "noise_refiner."], "Lumina"),
    (&["patch_embedding.", "blocks.0.cross_attn."], "Wan"),
    (&["img_mlp.", "txt_mlp."], "Qwen-Image"),
    (&["time_stack."], "Stable Video Diffusion"),
    (&["motion_modules."], "AnimateDiff"),
    (&["down_blocks.0.2.channelwise."], "Stable Cascade"),
    (&["mlp_t5.", "pooler."], "Hunyuan-DiT"),
    (&["model.layers.0.self_attn.", "lm_head."], "a language model"),
];

/// What only an adapter's names have.
const LORA: [&str; 8] =
    [".lora_up.", ".lora_down.", ".lora_A.", ".lora_B.", ".lora.up.", ".lora.down.", ".hada_w1_a", ".lokr_w1"];

impl Contents {
    /// As `tensors` show.
    pub fn of(tensors: &[TensorInfo]) -> Self {
        let any = |part: &str| tensors.iter().any(|info| info.name.contains(part));
        let starts = |start: &str| tensors.iter().any(|info| info.name.starts_with(start));
        if LORA.iter().any(|part| any(part)) {
            return Self::Lora;
        }
        if any("input_hint_block.") || any("controlnet_cond_embedding.") || any("controlnet_down_blocks.") {
            return Self::ControlNet;
        }
        if let Some((_, name)) = FOREIGN.iter().find(|(parts, _)| parts.iter().all(|part| any(part))) {
            return Self::Foreign(name);
        }
        let layout = Layout::of(tensors);
        match layout {
            Layout { denoiser: Some(place), autoencoder, text_encoder, .. } => match denoiser(tensors, place) {
                Some(kind) if autoencoder.is_some() && text_encoder.is_some() => Self::Model(kind),
                Some(kind) => Self::Denoiser(kind),
                None => Self::Foreign("a denoiser that no text conditions"),
            },
            Layout { autoencoder: Some(_), .. } => Self::Autoencoder,
            _ if any("concept_embeds") => Self::SafetyChecker,
            Layout { text_encoder: Some(_), .. } | Layout { text_encoder_2: Some(_), .. } => Self::TextEncoder,
            _ if starts("emb_params") || starts("string_to_param") || (starts("clip_l") && tensors.len() <= 4) => {
                Self::TextualInversion
            }
            _ if starts("decoder.layers.0.") || starts("encoder.layers.0.conv") || starts("taesd") => {
                Self::TinyAutoencoder
            }
            _ if any("body.0.rdb1.") || any("RDB1.") || is_compact(tensors) => Self::Upscaler,
            _ => Self::Unknown,
        }
    }

    /// The denoiser that is in it.
    pub const fn denoiser(self) -> Option<DenoiserKind> {
        match self {
            Self::Model(kind) | Self::Denoiser(kind) => Some(kind),
            _ => None,
        }
    }
}

/// Real-ESRGAN's compact network: a row of convolutions and slopes called `body.N`.
fn is_compact(tensors: &[TensorInfo]) -> bool {
    let first = tensors.iter().any(|info| info.name == "body.0.weight" && info.shape.len() == 4);
    first && tensors.iter().all(|info| info.name.starts_with("body."))
}

fn denoiser(tensors: &[TensorInfo], place: Place) -> Option<DenoiserKind> {
    let inside = || tensors.iter().filter(|info| info.name.starts_with(place.prefix));
    let attention = inside().find(|info| info.name.ends_with("attn2.to_k.weight"))?;
    let (&context, [_]) = attention.shape.split_last()? else { return None };
    let first = match place.style {
        Style::Original => "input_blocks.0.0.weight",
        Style::Diffusers => "conv_in.weight",
    };
    let first = inside().find(|info| info.name.strip_prefix(place.prefix) == Some(first))?;
    let &[_, channels, ..] = &first.shape[..] else { return None };
    let has_sizes = inside().any(|info| info.name.contains("label_emb.") || info.name.contains("add_embedding."));
    let is_linear = inside().any(|info| info.name.ends_with("proj_in.weight") && info.shape.len() == 2);
    let generation = match (context, has_sizes) {
        (1280, true) => Generation::SdxlRefiner,
        (_, true) => Generation::Sdxl,
        (768, false) => Generation::Sd1,
        (1024, false) => Generation::Sd2,
        (_, false) if is_linear => Generation::Sd2,
        (_, false) => Generation::Sd1,
    };
    let purpose = match channels {
        4 => Purpose::TextToImage,
        5 => Purpose::Depth,
        7 => Purpose::Upscaling,
        8 => Purpose::Editing,
        9 => Purpose::Inpainting,
        other => Purpose::Other(other),
    };
    Some(DenoiserKind { generation, purpose, context })
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sd1 => "Stable Diffusion 1.x",
            Self::Sd2 => "Stable Diffusion 2.x",
            Self::Sdxl => "Stable Diffusion XL",
            Self::SdxlRefiner => "Stable Diffusion XL refiner",
        })
    }
}

impl fmt::Display for DenoiserKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, purpose, .. } = self;
        match purpose {
            Purpose::TextToImage => write!(f, "{generation}"),
            Purpose::Inpainting => write!(f, "{generation} for inpainting"),
            Purpose::Depth => write!(f, "{generation} for depth maps"),
            Purpose::Editing => write!(f, "{generation} for instructions"),
            Purpose::Upscaling => write!(f, "{generation} for upscaling"),
            Purpose::Other(channels) => write!(f, "{generation} of {channels} channels"),
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(kind) => write!(f, "a whole {kind}"),
            Self::Denoiser(kind) => write!(f, "the denoiser of a {kind} without all that a picture needs"),
            Self::Autoencoder => f.write_str("an autoencoder alone"),
            Self::TextEncoder => f.write_str("a text encoder alone"),
            Self::TinyAutoencoder => f.write_str("a small autoencoder for previews"),
            Self::ControlNet => f.write_str("a ControlNet"),
            Self::Lora => f.write_str("a LoRA"),
            Self::TextualInversion => f.write_str("a textual inversion"),
            Self::Upscaler => f.write_str("a network that enlarges pictures"),
            Self::SafetyChecker => f.write_str("a safety checker"),
            Self::Foreign(name) => write!(f, "of another architecture ({name}), which is not supported"),
            Self::Unknown => f.write_str("of an architecture that is not known here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weights::Dtype;

    fn contents(tensors: &[(&str, &[usize])]) -> Contents {
        let info = |&(name, shape): &(&str, &[usize])| TensorInfo {
            name: name.to_owned(),
            dtype: Dtype::F16,
            shape: shape.to_vec(),
            offset: 0,
            bytes: 0,
        };
        Contents::of(&tensors.iter().map(info).collect::<Vec<_>>())
    }

    fn denoiser(channels: usize, context: usize, more: &[(&str, &[usize])]) -> Contents {
        let (first, attention) = ([320, channels, 3, 3], [320, context]);
        let mut tensors: Vec<(&str, &[usize])> = vec![
            ("model.diffusion_model.input_blocks.0.0.weight", &first),
            ("model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", &attention),
            ("model.diffusion_model.time_embed.0.weight", &[1280, 320]),
            ("model.diffusion_model.out.2.weight", &[4, 320, 3, 3]),
        ];
        tensors.extend(more);
        contents(&tensors)
    }

    #[test]
    fn denoisers_are_told_by_their_shapes() {
        let sizes: (&str, &[usize]) = ("model.diffusion_model.label_emb.0.0.weight", &[1280, 2816]);
        let linear: (&str, &[usize]) = ("model.diffusion_model.input_blocks.1.1.proj_in.weight", &[320, 320]);
        for (found, words) in [
            (denoiser(4, 768, &[]), "Stable Diffusion 1.x"),
            (denoiser(9, 768, &[]), "Stable Diffusion 1.x for inpainting"),
            (denoiser(5, 1024, &[]), "Stable Diffusion 2.x for depth maps"),
            (denoiser(7, 1024, &[]), "Stable Diffusion 2.x for upscaling"),
            (denoiser(4, 32, &[linear]), "Stable Diffusion 2.x"),
            (denoiser(4, 2048, &[sizes]), "Stable Diffusion XL"),
            (denoiser(9, 2048, &[sizes]), "Stable Diffusion XL for inpainting"),
            (denoiser(4, 1280, &[sizes]), "Stable Diffusion XL refiner"),
        ] {
            assert!(matches!(found, Contents::Denoiser(kind) if kind.to_string() == words), "{found}");
        }
    }

    #[test]
    fn other_files_are_told_by_what_only_they_have() {
        let is = |name: &str| contents(&[(name, &[4, 4])]);
        assert_eq!(is("lora_unet_down_blocks_0.lora_up.weight"), Contents::Lora);
        assert_eq!(is("unet.down_blocks.0.attn1.to_k.lora_A.weight"), Contents::Lora);
        assert_eq!(is("control_model.input_hint_block.0.weight"), Contents::ControlNet);
        assert_eq!(is("emb_params"), Contents::TextualInversion);
        assert_eq!(is("body.0.rdb1.conv1.weight"), Contents::Upscaler);
        assert_eq!(is("decoder.layers.0.weight"), Contents::TinyAutoencoder);
        assert_eq!(is("concept_embeds"), Contents::SafetyChecker);
        assert_eq!(is("model.diffusion_model.joint_blocks.0.x"), Contents::Foreign("Stable Diffusion 3"));
        assert_eq!(is("something.else"), Contents::Unknown);
        let flux = contents(&[("double_blocks.0.img_attn.qkv.weight", &[4, 4]), ("img_in.weight", &[4, 4])]);
        assert_eq!(flux, Contents::Foreign("Flux"));
        let vae = contents(&[("decoder.conv_in.weight", &[4; 4]), ("decoder.mid.block_1.norm1.weight", &[4])]);
        assert_eq!(vae, Contents::Autoencoder);
    }
}
