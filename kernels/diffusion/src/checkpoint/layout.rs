//! Where the parts of a model lie in a file, and under whose names.

use super::blocks::Names;
use weights::TensorInfo;

/// Who named the tensors of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// diffusers, and transformers for a text encoder.
    Diffusers,
    /// The original code, and `OpenCLIP` for a text encoder.
    Original,
}

/// Where one part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// What its tensors' names begin with.
    pub(super) prefix: &'static str,
    /// Who named the rest.
    pub(super) style: Style,
}

/// Where everything lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) denoiser: Option<Place>,
    pub(super) autoencoder: Option<Place>,
    pub(super) text_encoder: Option<Place>,
    pub(super) text_encoder_2: Option<Place>,
}

const DENOISER: [&str; 4] = ["model.diffusion_model.", "unet.", "diffusion_model.", ""];
const AUTOENCODER: [&str; 3] = ["first_stage_model.", "vae.", ""];
/// A text encoder's names as transformers has them; older files leave out the last `text_model.`.
const TEXT: [&str; 5] = [
    "cond_stage_model.transformer.text_model.",
    "cond_stage_model.transformer.",
    "conditioner.embedders.0.transformer.text_model.",
    "text_encoder.text_model.",
    "text_model.",
];
const TEXT_2: [&str; 3] = [
    "text_encoder_2.text_model.",
    "cond_stage_model.1.transformer.text_model.",
    "conditioner.embedders.1.transformer.text_model.",
];
const OPEN_CLIP: [&str; 2] = ["cond_stage_model.model.", "conditioner.embedders.0.model."];
const OPEN_CLIP_2: [&str; 1] = ["conditioner.embedders.1.model."];

impl Layout {
    /// As the names of `tensors` show.
    pub(super) fn of(tensors: &[TensorInfo]) -> Self {
        let names = Names::below(tensors.iter().map(|info| info.name.as_str()), "");
        let has = |prefix: &str, all: &[&str]| all.iter().all(|name| names.any(&format!("{prefix}{name}")));
        let find = |prefixes: &[&'static str], all: &[&str], style| {
            prefixes.iter().find(|prefix| has(prefix, all)).map(|&prefix| Place { prefix, style })
        };
        let text = |prefixes: &[&'static str], open: &[&'static str]| {
            find(open, &["token_embedding.weight", "transformer.resblocks.0."], Style::Original).or_else(|| {
                find(prefixes, &["embeddings.token_embedding.weight", "encoder.layers.0."], Style::Diffusers)
            })
        };
        let [original_denoiser, diffusers_denoiser] = [
            &["input_blocks.0.0.weight", "time_embed.0.", "out.2."][..],
            &["conv_in.weight", "down_blocks.0.", "time_embedding.linear_1.", "conv_out."],
        ];
        let [original_autoencoder, diffusers_autoencoder] =
            [["decoder.conv_in.", "decoder.mid.block_1."], ["decoder.conv_in.", "decoder.mid_block.resnets.0."]];
        Self {
            denoiser: find(&DENOISER, original_denoiser, Style::Original)
                .or_else(|| find(&DENOISER, diffusers_denoiser, Style::Diffusers)),
            autoencoder: find(&AUTOENCODER, &original_autoencoder, Style::Original)
                .or_else(|| find(&AUTOENCODER, &diffusers_autoencoder, Style::Diffusers)),
            text_encoder: text(&TEXT, &OPEN_CLIP),
            text_encoder_2: text(&TEXT_2, &OPEN_CLIP_2),
        }
    }
}
