//! A ControlNet in one file: under diffusers' names, or under its authors' (`control_model.input_blocks.0.0.weight`).
//!
//! Three things are in no shape: heads of attention, groups of norms, and the order of colours. They are taken as every published
//! network of its family has them; narrower networks than any published one get fewer heads and groups.

use super::ControlNetFiles;
use crate::{checkpoint::denoiser_to_diffusers, pipeline::Component};
use serde_json::{Value, json};
use std::rc::Rc;
use weights::{Origin, TensorSource, View, ViewEntry};

/// Most blocks that are looked for.
const MOST: usize = 64;
/// Groups of the norms of every published network.
const GROUPS: usize = 32;
/// Width of the pooled text of Stable Diffusion XL.
const POOLED: usize = 1280;
/// Numbers that it is told of a picture's sizes.
const SIZES: usize = 6;
/// What files of the whole network begin their names with.
const PREFIXES: [&str; 3] = ["control_model.", "controlnet.", ""];

/// The network and what its shapes tell of its configuration; otherwise what the file lacks.
pub(super) fn open(source: &Rc<dyn TensorSource>) -> Result<ControlNetFiles, String> {
    let is_any = |prefix: &&&str| {
        let begins = |name: &str| source.tensors().iter().any(|info| info.name.starts_with(&format!("{prefix}{name}")));
        begins("controlnet_cond_embedding.") || begins("input_hint_block.")
    };
    let prefix = PREFIXES.iter().find(is_any).ok_or(
        "it has neither `controlnet_cond_embedding` nor `input_hint_block`, which take the picture that steers",
    )?;
    let inside = || source.tensors().iter().filter_map(|info| Some((info.name.strip_prefix(prefix)?, info)));
    let names: Vec<&str> = inside().map(|(name, _)| name).collect();
    let pairs = pairs(&names);
    let entries = inside().map(|(name, info)| ViewEntry {
        name: denoiser_to_diffusers(&pairs, name).unwrap_or_else(|| name.to_owned()),
        shape: info.shape.clone(),
        origin: Origin::Whole(info.name.clone()),
    });
    let renamed = View::new(Rc::clone(source), entries.collect()).map_err(|error| error.to_string())?;
    let config =
        config(&renamed).ok_or("its blocks are not those of a ControlNet for Stable Diffusion 1.x, 2.x or XL")?;
    Ok(ControlNetFiles {
        config: config.to_string(),
        weights: Component { source: Rc::new(renamed), prefix: String::new() },
    })
}

/// What names begin with where the authors', and the same in diffusers.
fn pairs(names: &[&str]) -> Vec<(String, String)> {
    let any = |start: &str| names.iter().any(|name| name.starts_with(start));
    let mut pairs = vec![
        ("input_blocks.0.0.".to_owned(), "conv_in.".to_owned()),
        ("time_embed.0.".to_owned(), "time_embedding.linear_1.".to_owned()),
        ("time_embed.2.".to_owned(), "time_embedding.linear_2.".to_owned()),
        ("label_emb.0.0.".to_owned(), "add_embedding.linear_1.".to_owned()),
        ("label_emb.0.2.".to_owned(), "add_embedding.linear_2.".to_owned()),
        ("middle_block.0.".to_owned(), "mid_block.resnets.0.".to_owned()),
        ("middle_block.1.".to_owned(), "mid_block.attentions.0.".to_owned()),
        ("middle_block.2.".to_owned(), "mid_block.resnets.1.".to_owned()),
        ("middle_block_out.0.".to_owned(), "controlnet_mid_block.".to_owned()),
    ];
    for index in 0..MOST {
        pairs.push((format!("zero_convs.{index}.0."), format!("controlnet_down_blocks.{index}.")));
    }
    let hints = (0..MOST).take_while(|index| any(&format!("input_hint_block.{}.", 2 * index))).count();
    for index in 0..hints {
        let ours = match index {
            0 => "conv_in".to_owned(),
            _ if index + 1 == hints => "conv_out".to_owned(),
            _ => format!("blocks.{}", index - 1),
        };
        let ours = format!("controlnet_cond_embedding.{ours}.");
        pairs.push((format!("input_hint_block.{}.", 2 * index), ours));
    }
    let (mut level, mut layer) = (0, 0);
    for index in 1..MOST {
        let block = format!("input_blocks.{index}");
        if any(&format!("{block}.0.op.")) {
            pairs.push((format!("{block}.0.op."), format!("down_blocks.{level}.downsamplers.0.conv.")));
            (level, layer) = (level + 1, 0);
        } else {
            pairs.push((format!("{block}.0."), format!("down_blocks.{level}.resnets.{layer}.")));
            pairs.push((format!("{block}.1."), format!("down_blocks.{level}.attentions.{layer}.")));
            layer += 1;
        }
    }
    pairs
}

/// `config.json` of tensors under diffusers' names.
fn config(source: &dyn TensorSource) -> Option<Value> {
    let dim = |name: &str, axis: usize| source.info(name)?.shape.get(axis).copied();
    let count = |name: &dyn Fn(usize) -> String| (0..MOST).take_while(|&at| source.info(&name(at)).is_some()).count();
    let residual = |level: usize, layer: usize| format!("down_blocks.{level}.resnets.{layer}.conv2.weight");
    let channels: Vec<usize> = (0..8).map_while(|level| dim(&residual(level, 0), 0)).collect();
    let layers: Vec<usize> = (0..channels.len()).map(|level| count(&|layer: usize| residual(level, layer))).collect();
    let norm = |block: &str, at: usize| format!("{block}.attentions.0.transformer_blocks.{at}.norm1.weight");
    let depths: Vec<usize> =
        (0..channels.len()).map(|level| count(&|at: usize| norm(&format!("down_blocks.{level}"), at))).collect();
    let middle = count(&|at: usize| norm("mid_block", at));
    let attention = source.tensors().iter().find(|info| info.name.ends_with("attn2.to_k.weight"))?;
    let is_linear = source.tensors().iter().any(|info| info.name.ends_with("proj_in.weight") && info.shape.len() == 2);
    let kind = |&depth: &usize| if depth > 0 { "CrossAttnDownBlock2D" } else { "DownBlock2D" };
    let last = channels.len().checked_sub(1)?;
    // The innermost level's depth is the middle's, even where that level has no attention itself.
    let each =
        depths.iter().enumerate().map(|(at, &depth)| if at == last && depth == 0 { middle } else { depth }.max(1));
    let embedding = |at: usize| format!("controlnet_cond_embedding.blocks.{}.weight", 2 * at + 1);
    let first = dim("controlnet_cond_embedding.conv_in.weight", 0)?;
    let hints: Vec<usize> = std::iter::once(first).chain((0..MOST).map_while(|at| dim(&embedding(at), 0))).collect();
    let mut config = json!({
        "in_channels": dim("conv_in.weight", 1)?,
        "conditioning_channels": dim("controlnet_cond_embedding.conv_in.weight", 1)?,
        "conditioning_embedding_out_channels": hints,
        "block_out_channels": channels,
        "layers_per_block": layers,
        "down_block_types": depths.iter().map(kind).collect::<Vec<_>>(),
        "mid_block_type": if middle > 0 { "UNetMidBlock2DCrossAttn" } else { "UNetMidBlock2D" },
        "cross_attention_dim": attention.shape.last()?,
        "attention_head_dim": heads(&channels, is_linear),
        "transformer_layers_per_block": each.collect::<Vec<usize>>(),
        "use_linear_projection": is_linear,
        "norm_num_groups": groups(&channels),
    });
    if let Some(width) = dim("add_embedding.linear_1.weight", 1) {
        let pooled = if width > POOLED { POOLED } else { attention.shape.last()? / 2 };
        config["addition_embed_type"] = json!("text_time");
        config["addition_time_embed_dim"] = json!(width.checked_sub(pooled)? / SIZES);
        config["projection_class_embeddings_input_dim"] = json!(width);
    }
    Some(config)
}

/// The first family has eight heads everywhere, the others heads of 64 channels.
fn heads(channels: &[usize], is_linear: bool) -> Value {
    let least = channels.iter().copied().min().unwrap_or(1);
    if !is_linear {
        return json!((least / 8).clamp(1, 8));
    }
    let width = (least / 2).clamp(1, 64);
    json!(channels.iter().map(|channels| (channels / width).max(1)).collect::<Vec<_>>())
}

/// As many groups as every published network has, but two channels in each.
fn groups(channels: &[usize]) -> usize {
    let least = channels.iter().copied().min().unwrap_or(GROUPS);
    GROUPS.min(1 << (least / 2).max(1).ilog2())
}
