//! The configurations of a file that has none, as far as shapes tell them.
//!
//! Three things are in no shape: heads of attention, groups of norms, and what is predicted. The first two are the same in
//! every real model of a family, and are taken from it; narrower models than any real one get fewer, so that a head keeps some
//! channels and a group two. What is predicted may be said in the file's metadata, and else is what most of its family do.

use super::{blocks::Blocks, contents::Generation};
use serde_json::{Value, json};
use weights::{TensorInfo, TensorSource};

/// Vectors of the vocabulary that every text encoder of the family has, without words that were added.
const VOCABULARY: usize = 49_408;
/// Groups of the norms of every real model.
const GROUPS: usize = 32;

fn shape<'a>(tensors: &'a [TensorInfo], name: &str) -> Option<&'a [usize]> {
    let index = tensors.binary_search_by(|info| info.name.as_str().cmp(name)).ok()?;
    Some(&tensors[index].shape)
}

fn dim(tensors: &[TensorInfo], name: &str, axis: usize) -> Option<usize> {
    shape(tensors, name)?.get(axis).copied()
}

/// As many groups as every real model has, but two channels in each.
fn groups(channels: &[usize]) -> usize {
    let least = channels.iter().copied().min().unwrap_or(GROUPS);
    let most = 1 << (least / 2).max(1).ilog2();
    GROUPS.min(most)
}

/// `unet/config.json` of tensors under diffusers' names.
pub(super) fn denoiser(tensors: &[TensorInfo], blocks: &Blocks, generation: Generation) -> Option<Value> {
    let channels = (0..blocks.down.len())
        .map(|index| dim(tensors, &format!("down_blocks.{index}.resnets.0.conv2.weight"), 0))
        .collect::<Option<Vec<_>>>()?;
    let transformer = |level: &super::blocks::Level| level.transformers.contains(&true);
    let kinds = |levels: &[super::blocks::Level], way: &str| {
        let kind = |level| if transformer(level) { format!("CrossAttn{way}Block2D") } else { format!("{way}Block2D") };
        levels.iter().map(kind).collect::<Vec<_>>()
    };
    let depths: Vec<usize> = (0..channels.len()).map(|index| depth(tensors, blocks, index)).collect();
    let attention = tensors.iter().find(|info| info.name.ends_with("attn2.to_k.weight"))?;
    let is_linear = tensors.iter().any(|info| info.name.ends_with("proj_in.weight") && info.shape.len() == 2);
    let layers = blocks.down.iter().map(|level| level.transformers.len()).collect::<Vec<_>>();
    let mut config = json!({
        "_class_name": "UNet2DConditionModel",
        "in_channels": dim(tensors, "conv_in.weight", 1)?,
        "out_channels": dim(tensors, "conv_out.weight", 0)?,
        "sample_size": sample_size(generation),
        "block_out_channels": channels,
        "layers_per_block": one_or_all(&layers),
        "down_block_types": kinds(&blocks.down, "Down"),
        "mid_block_type": if blocks.middle_transformer { "UNetMidBlock2DCrossAttn" } else { "UNetMidBlock2D" },
        "up_block_types": kinds(&blocks.up, "Up"),
        "cross_attention_dim": attention.shape.last()?,
        "attention_head_dim": heads(&channels, generation),
        "transformer_layers_per_block": one_or_all(&depths),
        "use_linear_projection": is_linear,
        "norm_num_groups": groups(&channels),
        "norm_eps": 1e-5,
        "act_fn": "silu",
        "flip_sin_to_cos": true,
        "freq_shift": 0,
    });
    if let Some(width) = dim(tensors, "add_embedding.linear_1.weight", 1) {
        let pooled = pooled_width(width, generation, *attention.shape.last()?);
        let ids = if generation == Generation::SdxlRefiner { 5 } else { 6 };
        config["addition_embed_type"] = json!("text_time");
        config["addition_time_embed_dim"] = json!(width.checked_sub(pooled)? / ids);
        config["projection_class_embeddings_input_dim"] = json!(width);
    }
    Some(config)
}

/// A real model's pooled text is 1280 wide; a narrower one's is as wide as its second encoder, half of the context.
const fn pooled_width(width: usize, generation: Generation, context: usize) -> usize {
    match generation {
        Generation::SdxlRefiner => 1280,
        _ if width > 1280 => 1280,
        _ => context / 2,
    }
}

fn one_or_all(values: &[usize]) -> Value {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => json!(first),
        _ => json!(values),
    }
}

/// Layers of the transformers of a resolution; one without any has as many as a transformer would.
fn depth(tensors: &[TensorInfo], blocks: &Blocks, level: usize) -> usize {
    let count = |start: &str| {
        (0..64).take_while(|index| shape(tensors, &format!("{start}.{index}.norm1.weight")).is_some()).count()
    };
    let found = count(&format!("down_blocks.{level}.attentions.0.transformer_blocks"));
    if found > 0 {
        return found;
    }
    let is_last = level + 1 == blocks.down.len();
    let middle = if is_last { count("mid_block.attentions.0.transformer_blocks") } else { 0 };
    middle.max(1)
}

/// The first family has eight heads everywhere, the others heads of 64 channels.
fn heads(channels: &[usize], generation: Generation) -> Value {
    let least = channels.iter().copied().min().unwrap_or(1);
    if generation == Generation::Sd1 {
        return json!((least / 8).clamp(1, 8));
    }
    let width = (least / 2).clamp(1, 64);
    json!(channels.iter().map(|channels| (channels / width).max(1)).collect::<Vec<_>>())
}

/// Latents along one side of what it was trained on.
const fn sample_size(generation: Generation) -> usize {
    match generation {
        Generation::Sd1 => 64,
        Generation::Sd2 => 96,
        Generation::Sdxl | Generation::SdxlRefiner => 128,
    }
}

/// `vae/config.json` of tensors under diffusers' names.
pub(super) fn autoencoder(tensors: &[TensorInfo], generation: Generation) -> Option<Value> {
    let block = |index: usize, layer: usize| format!("encoder.down_blocks.{index}.resnets.{layer}.conv1.weight");
    let channels: Vec<usize> = (0..8).map_while(|index| dim(tensors, &block(index, 0), 0)).collect();
    let layers = (0..16).take_while(|&layer| shape(tensors, &block(0, layer)).is_some()).count();
    let levels = channels.len();
    let is_xl = matches!(generation, Generation::Sdxl | Generation::SdxlRefiner);
    (levels > 0).then_some(())?;
    Some(json!({
        "_class_name": "AutoencoderKL",
        "in_channels": dim(tensors, "encoder.conv_in.weight", 1)?,
        "out_channels": dim(tensors, "decoder.conv_out.weight", 0)?,
        "latent_channels": dim(tensors, "decoder.conv_in.weight", 1)?,
        "block_out_channels": channels,
        "layers_per_block": layers,
        "norm_num_groups": groups(&channels),
        "scaling_factor": if is_xl { 0.13025 } else { 0.18215 },
        "use_quant_conv": shape(tensors, "quant_conv.weight").is_some(),
        "use_post_quant_conv": shape(tensors, "post_quant_conv.weight").is_some(),
        "mid_block_add_attention": shape(tensors, "decoder.mid_block.attentions.0.to_q.weight").is_some(),
        "down_block_types": vec!["DownEncoderBlock2D"; levels],
        "up_block_types": vec!["UpDecoderBlock2D"; levels],
        "act_fn": "silu",
        "force_upcast": true,
    }))
}

/// `text_encoder/config.json` of tensors under transformers' names.
pub(super) fn text_encoder(tensors: &[TensorInfo], activation: &str) -> Option<Value> {
    let table = shape(tensors, "text_model.embeddings.token_embedding.weight")?;
    let &[vocabulary, width] = table else { return None };
    let layer = |index: usize| format!("text_model.encoder.layers.{index}.mlp.fc1.weight");
    let layers = (0..128).take_while(|&index| shape(tensors, &layer(index)).is_some()).count();
    let projection = dim(tensors, "text_projection.weight", 0);
    let class = if projection.is_some() { "CLIPTextModelWithProjection" } else { "CLIPTextModel" };
    Some(json!({
        "architectures": [class],
        "model_type": "clip_text_model",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": dim(tensors, &layer(0), 0)?,
        "num_hidden_layers": layers,
        "num_attention_heads": (width / (width / 4).clamp(1, 64)).max(1),
        "max_position_embeddings": dim(tensors, "text_model.embeddings.position_embedding.weight", 0)?,
        "hidden_act": activation,
        "layer_norm_eps": 1e-5,
        "projection_dim": projection.unwrap_or(width),
        "bos_token_id": vocabulary.min(VOCABULARY).saturating_sub(2),
        "eos_token_id": vocabulary.min(VOCABULARY).saturating_sub(1),
    }))
}

/// `scheduler/scheduler_config.json`, with what the file says of itself.
pub(super) fn scheduler(source: &dyn TensorSource, generation: Generation, prediction: Option<&str>) -> Value {
    let said = source.metadata("modelspec.prediction_type").map(|kind| if kind.starts_with('v') { V } else { EPSILON });
    let marked = source.info("v_pred").map(|_| V);
    let usual = if generation == Generation::Sd2 { V } else { EPSILON };
    let is_xl = matches!(generation, Generation::Sdxl | Generation::SdxlRefiner);
    json!({
        "_class_name": if is_xl { "EulerDiscreteScheduler" } else { "DDIMScheduler" },
        "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
        "prediction_type": prediction.or(said).or(marked).unwrap_or(usual),
        "rescale_betas_zero_snr": source.info("ztsnr").is_some(),
        "timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": false, "clip_sample": false,
    })
}

const EPSILON: &str = "epsilon";
const V: &str = "v_prediction";
