//! What the demo model is made of, in the files that any diffusers model has.

use super::{IMAGE_SIDE, caption, known_words};
use crate::TrainError;
use diffusion::{
    config::ConfigError,
    pipeline::ModelCard,
    scheduler::SchedulerConfig,
    text::{ClipTextConfig, Tokenizer},
    unet::UNetConfig,
    vae::{TinyVaeConfig, VaeConfig},
};
use serde_json::json;

/// The five configurations, as text and parsed.
#[derive(Debug, Clone)]
pub struct DemoConfigs {
    /// `text_encoder/config.json`.
    pub text_json: String,
    /// `unet/config.json`.
    pub unet_json: String,
    /// `vae/config.json`, with the scaling factor that was measured.
    pub vae_json: String,
    /// `taesd/config.json`, of the small autoencoder for previews.
    pub taesd_json: String,
    /// `scheduler/scheduler_config.json`.
    pub scheduler_json: String,
    /// The text encoder.
    pub text: ClipTextConfig,
    /// The denoiser.
    pub unet: UNetConfig,
    /// The autoencoder.
    pub vae: VaeConfig,
    /// The small autoencoder.
    pub taesd: TinyVaeConfig,
    /// The scheduler.
    pub scheduler: SchedulerConfig,
}

/// Pixels of a picture along a side of one cell of its latents.
pub(crate) const CELL: u32 = 8;
/// Channels of the latents: one number for twelve of the picture.
pub(crate) const LATENT_CHANNELS: u32 = 16;

/// Tokens that fit into the demo's context; its longest caption has 20.
const CONTEXT: usize = 24;

/// The demo model's configurations.
///
/// # Errors
/// [`ConfigError`] only if this file is wrong.
pub fn configs(scaling_factor: f64) -> Result<DemoConfigs, ConfigError> {
    let vocab_size = include_str!("../../assets/merges.txt").lines().count() - 1 + 512 + 2;
    let text_json = json!({
        "architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": vocab_size,
        "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        "bos_token_id": vocab_size - 2, "eos_token_id": vocab_size - 1, "pad_token_id": vocab_size - 1,
    })
    .to_string();
    let unet_json = json!({
        "_class_name": "UNet2DConditionModel", "sample_size": IMAGE_SIDE / CELL,
        "in_channels": LATENT_CHANNELS, "out_channels": LATENT_CHANNELS,
        "block_out_channels": [96, 160], "layers_per_block": 1, "norm_num_groups": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": [4, 4], "cross_attention_dim": 128, "use_linear_projection": true,
    })
    .to_string();
    let vae_json = json!({
        "_class_name": "AutoencoderKL", "sample_size": IMAGE_SIDE, "in_channels": 3, "out_channels": 3,
        "latent_channels": LATENT_CHANNELS, "block_out_channels": [16, 32, 48, 64], "layers_per_block": 1, "norm_num_groups": 8,
        "down_block_types": (["DownEncoderBlock2D"; 4]), "up_block_types": (["UpDecoderBlock2D"; 4]),
        "mid_block_add_attention": false, "scaling_factor": scaling_factor,
    })
    .to_string();
    // Few blocks where the picture is large: 0.05 GFLOP instead of the decoder's 0.41.
    let taesd_json = json!({
        "_class_name": "AutoencoderTiny", "in_channels": 3, "out_channels": 3, "latent_channels": LATENT_CHANNELS,
        "encoder_block_out_channels": [16, 16, 16, 16], "num_encoder_blocks": [0, 0, 1, 1],
        "decoder_block_out_channels": [16, 16, 16, 16], "num_decoder_blocks": [3, 2, 1, 0], "scaling_factor": 1.0,
    })
    .to_string();
    let scheduler_json = json!({
        "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "clip_sample": false, "set_alpha_to_one": true, "steps_offset": 0,
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": true, "timestep_spacing": "trailing",
    })
    .to_string();
    let parse_error = |part| move |source| ConfigError::Json { part, source };
    Ok(DemoConfigs {
        text: serde_json::from_str(&text_json).map_err(parse_error("text_encoder"))?,
        unet: serde_json::from_str(&unet_json).map_err(parse_error("unet"))?,
        vae: serde_json::from_str(&vae_json).map_err(parse_error("vae"))?,
        taesd: serde_json::from_str(&taesd_json).map_err(parse_error("taesd"))?,
        scheduler: SchedulerConfig::from_json(&scheduler_json)?,
        text_json,
        unet_json,
        vae_json,
        taesd_json,
        scheduler_json,
    })
}

/// `vocab.json` and `merges.txt`: CLIP's 512 byte tokens and those of its merges that the captions need, in its order.
pub(crate) const VOCAB: &str = include_str!("../../assets/vocab.json");
pub(crate) const MERGES: &str = include_str!("../../assets/merges.txt");
pub(crate) const PAD_TOKEN: &str = "<|endoftext|>";

/// The demo model's tokenizer.
///
/// # Errors
/// [`TrainError::Tokenizer`] only if the assets are wrong.
pub fn tokenizer() -> Result<Tokenizer, TrainError> {
    Ok(Tokenizer::new(VOCAB, MERGES, PAD_TOKEN)?)
}

/// Pairs of object and colour to begin with, all of which were trained on.
const EXAMPLES: [(usize, usize); 8] = [(0, 4), (1, 11), (11, 8), (2, 2), (12, 6), (5, 9), (13, 11), (10, 5)];

/// What the demo model says of itself.
pub fn card() -> ModelCard {
    ModelCard {
        name: "demo".to_owned(),
        native_size: Some((IMAGE_SIDE, IMAGE_SIDE)),
        guidance: Some(4.0),
        steps: Some(20),
        examples: std::iter::once("a red apple on a blue background".to_owned())
            .chain(EXAMPLES.iter().skip(1).map(|&(object, colour)| caption(object, colour)))
            .chain(["a small star on a purple background, on the left".to_owned()])
            .collect(),
        known_words: known_words(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::is_held_out;
    use diffusion::{
        nn::BuilderRoot,
        text::ClipTextModel,
        unet::UNet2DConditionModel,
        vae::{AutoencoderKl, AutoencoderTiny},
    };

    #[test]
    fn no_example_is_kept_from_training() {
        for (object, colour) in EXAMPLES {
            assert!(!is_held_out(object, colour), "{}", caption(object, colour));
        }
    }

    #[test]
    fn the_model_can_be_built_and_every_known_word_is_few_tokens() {
        let configs = configs(1.0).unwrap();
        let device = burn::tensor::Device::flex();
        let root = BuilderRoot::random(0, &device);
        UNet2DConditionModel::new(&root.root("unet"), &configs.unet).unwrap();
        ClipTextModel::new(&root.root("text_encoder"), &configs.text).unwrap();
        AutoencoderKl::new(&root.root("vae"), &configs.vae).unwrap();
        AutoencoderTiny::new(&root.root("taesd"), &configs.taesd).unwrap();
        // Quantised to about a byte a weight, it stays far below the 12 MB that may be shipped.
        assert!(root.device_bytes() < 11 * 4 * 1024 * 1024, "{}", root.device_bytes());
        let tokenizer = tokenizer().unwrap();
        assert_eq!(tokenizer.vocab_size(), configs.text.vocab_size);
        for word in known_words() {
            assert!(tokenizer.ids(&word).len() <= 3, "{word}");
        }
    }
}
