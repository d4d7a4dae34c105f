//! The names of the original code (CompVis, Stability AI) and those of diffusers, both ways.

/// Parts of a residual block.
const RESIDUAL: [(&str, &str); 6] = [
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
    ("emb_layers.1.", "time_emb_proj."),
    ("skip_connection.", "conv_shortcut."),
];

/// Parts of an autoencoder's attention; the last column is what older versions of diffusers wrote.
const ATTENTION: [(&str, &str, &str); 5] = [
    ("norm", "group_norm", "group_norm"),
    ("q", "to_q", "query"),
    ("k", "to_k", "key"),
    ("v", "to_v", "value"),
    ("proj_out", "to_out.0", "proj_attn"),
];

/// Parts of a layer of `OpenCLIP`'s text encoder, but for its fused projection.
const OPEN_CLIP: [(&str, &str); 5] = [
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
];

/// The name of a denoiser's tensor in diffusers, or of a ControlNet's, by pairs of what its blocks' names begin with
/// ([`super::blocks::Blocks::prefixes`]).
pub fn denoiser_to_diffusers(pairs: &[(String, String)], name: &str) -> Option<String> {
    let (rest, ours) = pairs.iter().find_map(|(from, to)| Some((name.strip_prefix(from.as_str())?, to)))?;
    if !ours.contains(".resnets.") {
        return Some(format!("{ours}{rest}"));
    }
    let (tail, part) = RESIDUAL.iter().find_map(|(from, to)| Some((rest.strip_prefix(from)?, to)))?;
    Some(format!("{ours}{part}{tail}"))
}

/// The name of a denoiser's tensor in the original code.
pub(super) fn denoiser_to_original(pairs: &[(String, String)], name: &str) -> Option<String> {
    let (rest, ours, original) =
        pairs.iter().find_map(|(original, ours)| Some((name.strip_prefix(ours.as_str())?, ours, original)))?;
    if !ours.contains(".resnets.") {
        return Some(format!("{original}{rest}"));
    }
    let (tail, part) = RESIDUAL.iter().find_map(|(to, from)| Some((rest.strip_prefix(from)?, to)))?;
    Some(format!("{original}{part}{tail}"))
}

/// The name of an autoencoder's tensor in diffusers; the original counts the decoder's `levels` from the outside.
pub(super) fn autoencoder_to_diffusers(name: &str, levels: usize) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let outside = |index: &str| levels.checked_sub(1 + index.parse::<usize>().ok()?);
    Some(match parts[..] {
        ["encoder", "down", level, "block", layer, part, kind] => {
            format!("encoder.down_blocks.{level}.resnets.{layer}.{}.{kind}", shortcut(part, true))
        }
        ["encoder", "down", level, "downsample", "conv", kind] => {
            format!("encoder.down_blocks.{level}.downsamplers.0.conv.{kind}")
        }
        ["decoder", "up", level, "block", layer, part, kind] => {
            format!("decoder.up_blocks.{}.resnets.{layer}.{}.{kind}", outside(level)?, shortcut(part, true))
        }
        ["decoder", "up", level, "upsample", "conv", kind] => {
            format!("decoder.up_blocks.{}.upsamplers.0.conv.{kind}", outside(level)?)
        }
        [side, "mid", block @ ("block_1" | "block_2"), part, kind] => {
            let index = usize::from(block == "block_2");
            format!("{side}.mid_block.resnets.{index}.{}.{kind}", shortcut(part, true))
        }
        [side, "mid", "attn_1", part, kind] => {
            let (_, ours, _) = ATTENTION.iter().find(|(original, ..)| *original == part)?;
            format!("{side}.mid_block.attentions.0.{ours}.{kind}")
        }
        [side, "norm_out", kind] => format!("{side}.conv_norm_out.{kind}"),
        [_, "conv_in" | "conv_out", _] | ["quant_conv" | "post_quant_conv", _] => name.to_owned(),
        _ => return None,
    })
}

/// The name of an autoencoder's tensor in the original code.
pub(super) fn autoencoder_to_original(name: &str, levels: usize) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let outside = |index: &str| levels.checked_sub(1 + index.parse::<usize>().ok()?);
    Some(match parts[..] {
        ["encoder", "down_blocks", level, "resnets", layer, part, kind] => {
            format!("encoder.down.{level}.block.{layer}.{}.{kind}", shortcut(part, false))
        }
        ["encoder", "down_blocks", level, "downsamplers", "0", "conv", kind] => {
            format!("encoder.down.{level}.downsample.conv.{kind}")
        }
        ["decoder", "up_blocks", level, "resnets", layer, part, kind] => {
            format!("decoder.up.{}.block.{layer}.{}.{kind}", outside(level)?, shortcut(part, false))
        }
        ["decoder", "up_blocks", level, "upsamplers", "0", "conv", kind] => {
            format!("decoder.up.{}.upsample.conv.{kind}", outside(level)?)
        }
        [side, "mid_block", "resnets", index @ ("0" | "1"), part, kind] => {
            let block = if index == "0" { 1 } else { 2 };
            format!("{side}.mid.block_{block}.{}.{kind}", shortcut(part, false))
        }
        [side, "mid_block", "attentions", "0", ref part @ .., kind] => {
            let part = part.join(".");
            let (original, ..) = ATTENTION.iter().find(|(_, ours, older)| part == *ours || part == *older)?;
            format!("{side}.mid.attn_1.{original}.{kind}")
        }
        [side, "conv_norm_out", kind] => format!("{side}.norm_out.{kind}"),
        [_, "conv_in" | "conv_out", _] | ["quant_conv" | "post_quant_conv", _] => name.to_owned(),
        _ => return None,
    })
}

fn shortcut(part: &str, to_diffusers: bool) -> &str {
    match (part, to_diffusers) {
        ("nin_shortcut", true) => "conv_shortcut",
        ("conv_shortcut", false) => "nin_shortcut",
        _ => part,
    }
}

/// What a tensor of `OpenCLIP`'s text encoder becomes in transformers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenClip {
    /// The same under this name.
    Same(String),
    /// Its rows are the projections of queries, keys and values; `{}` of the name is `q`, `k` or `v`.
    Fused(String),
    /// The same with its dimensions changed places.
    Turned(String),
}

/// What the tensor `name` of `OpenCLIP`'s text encoder becomes; `None` for what is no part of it.
pub(super) fn open_clip_to_transformers(name: &str) -> Option<OpenClip> {
    let same = |name: &str| Some(OpenClip::Same(format!("text_model.{name}")));
    match name {
        "positional_embedding" => return same("embeddings.position_embedding.weight"),
        "token_embedding.weight" => return same("embeddings.token_embedding.weight"),
        "ln_final.weight" => return same("final_layer_norm.weight"),
        "ln_final.bias" => return same("final_layer_norm.bias"),
        "text_projection" => return Some(OpenClip::Turned("text_projection.weight".to_owned())),
        "text_projection.weight" => return Some(OpenClip::Same(name.to_owned())),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("transformer.resblocks.")?.split_once('.')?;
    if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
        return Some(OpenClip::Fused(format!("text_model.encoder.layers.{layer}.self_attn.{{}}_proj.{kind}")));
    }
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, ours) = OPEN_CLIP.iter().find(|(original, _)| *original == part)?;
    same(&format!("encoder.layers.{layer}.{ours}.{kind}"))
}

/// The name of a tensor of the text encoder in `OpenCLIP`; the projections of queries, keys and values share one.
pub(super) fn transformers_to_open_clip(name: &str) -> Option<String> {
    let fixed = match name {
        "text_model.embeddings.position_embedding.weight" => "positional_embedding",
        "text_model.embeddings.token_embedding.weight" => "token_embedding.weight",
        "text_model.final_layer_norm.weight" => "ln_final.weight",
        "text_model.final_layer_norm.bias" => "ln_final.bias",
        "text_projection.weight" => "text_projection",
        _ => "",
    };
    if !fixed.is_empty() {
        return Some(fixed.to_owned());
    }
    let (layer, rest) = name.strip_prefix("text_model.encoder.layers.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let part = match part {
        "self_attn.q_proj" | "self_attn.k_proj" | "self_attn.v_proj" => format!("attn.in_proj_{kind}"),
        other => format!("{}.{kind}", OPEN_CLIP.iter().find(|(_, ours)| *ours == other)?.0),
    };
    Some(format!("transformer.resblocks.{layer}.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoencoder_counts_its_decoder_from_the_other_side() {
        for (original, ours) in [
            ("decoder.up.3.block.0.nin_shortcut.weight", "decoder.up_blocks.0.resnets.0.conv_shortcut.weight"),
            ("decoder.up.1.upsample.conv.bias", "decoder.up_blocks.2.upsamplers.0.conv.bias"),
            ("encoder.down.0.downsample.conv.bias", "encoder.down_blocks.0.downsamplers.0.conv.bias"),
            ("encoder.mid.attn_1.proj_out.weight", "encoder.mid_block.attentions.0.to_out.0.weight"),
            ("decoder.mid.block_2.norm1.weight", "decoder.mid_block.resnets.1.norm1.weight"),
            ("encoder.norm_out.weight", "encoder.conv_norm_out.weight"),
            ("quant_conv.weight", "quant_conv.weight"),
        ] {
            assert_eq!(autoencoder_to_diffusers(original, 4).as_deref(), Some(ours));
            assert_eq!(autoencoder_to_original(ours, 4).as_deref(), Some(original));
        }
        assert_eq!(autoencoder_to_diffusers("decoder.up.4.upsample.conv.bias", 4), None);
        let older = "encoder.mid_block.attentions.0.query.weight";
        assert_eq!(autoencoder_to_original(older, 4).as_deref(), Some("encoder.mid.attn_1.q.weight"));
    }

    #[test]
    fn open_clip_fuses_projections_and_turns_the_last_one() {
        let fused = open_clip_to_transformers("transformer.resblocks.7.attn.in_proj_weight");
        assert_eq!(fused, Some(OpenClip::Fused("text_model.encoder.layers.7.self_attn.{}_proj.weight".to_owned())));
        assert_eq!(
            open_clip_to_transformers("text_projection"),
            Some(OpenClip::Turned("text_projection.weight".to_owned()))
        );
        assert_eq!(open_clip_to_transformers("logit_scale"), None);
        for name in ["encoder.layers.3.mlp.fc1.bias", "encoder.layers.3.layer_norm2.weight"] {
            let name = format!("text_model.{name}");
            let original = transformers_to_open_clip(&name).unwrap();
            assert_eq!(open_clip_to_transformers(&original), Some(OpenClip::Same(name)));
        }
    }
}
