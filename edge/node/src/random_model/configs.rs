//! The configurations as the models' folders have them, cut to what a run reads.

use super::Shapes;
use serde_json::json;

/// `unet/config.json`.
pub fn unet(shapes: Shapes) -> String {
    let (heads, context, is_linear) = match shapes {
        Shapes::Sd15 => (json!(8), 768, false),
        Shapes::SdTurbo => (json!([5, 10, 20, 20]), 1024, true),
    };
    json!({
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2, "cross_attention_dim": context, "attention_head_dim": heads,
        "use_linear_projection": is_linear, "norm_num_groups": 32, "norm_eps": 1e-5,
    })
    .to_string()
}

/// `text_encoder/config.json`.
pub fn text(shapes: Shapes) -> String {
    let (width, layers, heads, activation, end) = match shapes {
        Shapes::Sd15 => (768, 12, 12, "quick_gelu", 2),
        Shapes::SdTurbo => (1024, 23, 16, "gelu", 2),
    };
    json!({
        "vocab_size": 49_408, "hidden_size": width, "intermediate_size": width * 4, "num_hidden_layers": layers,
        "num_attention_heads": heads, "max_position_embeddings": 77, "hidden_act": activation, "layer_norm_eps": 1e-5,
        "eos_token_id": end,
    })
    .to_string()
}

/// `vae/config.json`, the same for both.
pub fn vae() -> String {
    json!({
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2, "norm_num_groups": 32, "scaling_factor": 0.18215,
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
    })
    .to_string()
}

/// `scheduler/scheduler_config.json`.
pub fn scheduler(shapes: Shapes) -> String {
    let (class, spacing, offset) = match shapes {
        Shapes::Sd15 => ("PNDMScheduler", "leading", 1),
        Shapes::SdTurbo => ("EulerDiscreteScheduler", "trailing", 1),
    };
    json!({
        "_class_name": class, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000, "prediction_type": "epsilon", "timestep_spacing": spacing, "steps_offset": offset,
        "set_alpha_to_one": false, "skip_prk_steps": true,
    })
    .to_string()
}
