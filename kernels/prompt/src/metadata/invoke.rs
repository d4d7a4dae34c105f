//! What InvokeAI writes: `invokeai_metadata`, and in older versions `sd-metadata` and a command under `Dream`.

use super::{Metadata, MetadataError, Origin, json_of, number, small, whole};
use crate::ExtraNetwork;
use serde_json::Value;
use spec::NoiseKind;

/// Most networks of a picture.
const MAX_NETWORKS: usize = 64;

pub(super) fn parse(name: &'static str, text: &str) -> Result<Metadata, MetadataError> {
    let all = json_of(name, text)?;
    let mut metadata = Metadata::new(Origin::InvokeAi, text);
    if all["image"].is_object() {
        old(&all, &mut metadata);
    } else {
        new(&all, &mut metadata);
    }
    Ok(metadata)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A model's name, which versions put in different places.
fn name(model: &Value) -> Option<String> {
    ["name", "model_name"].iter().find_map(|key| text(&model[*key])).or_else(|| text(model))
}

fn new(all: &Value, to: &mut Metadata) {
    to.prompt = text(&all["positive_prompt"]).unwrap_or_default();
    to.negative_prompt = text(&all["negative_prompt"]).unwrap_or_default();
    to.sampler = text(&all["scheduler"]);
    common(all, to);
    // It counts the layers that are left out.
    to.clip_skip = small(&all["clip_skip"])
        .map(|skipped| skipped.saturating_add(1))
        .or(small(&all["skipped_layers"]).map(|skipped| skipped.saturating_add(1)));
    to.guidance_rescale = number(&all["cfg_rescale_multiplier"]);
    to.model = name(&all["model"]);
    to.noise = match all["rand_device"].as_str() {
        Some("cuda") => Some(NoiseKind::Philox),
        _ => Some(NoiseKind::TorchCpu),
    };
    for lora in all["loras"].as_array().into_iter().flatten().take(MAX_NETWORKS) {
        let named = ["model", "lora"].iter().find_map(|key| name(&lora[*key]));
        let weight = number(&lora["weight"]).unwrap_or(0.75);
        to.networks.extend(named.map(|name| ExtraNetwork { name, unet_weight: weight, text_weight: weight }));
    }
    let kept = ["generation_mode", "app_version", "seamless_x", "seamless_y"];
    to.others.extend(kept.iter().filter_map(|key| Some(((*key).to_owned(), shown(all.get(*key)?)))));
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn common(from: &Value, to: &mut Metadata) {
    to.steps = small(&from["steps"]);
    to.guidance = number(&from["cfg_scale"]);
    to.seed = whole(&from["seed"]);
    to.size = small(&from["width"]).zip(small(&from["height"]));
    to.strength = number(&from["strength"]);
}

/// `sd-metadata`.
fn old(all: &Value, to: &mut Metadata) {
    let image = &all["image"];
    let prompt = match &image["prompt"] {
        Value::Array(parts) => parts.first().and_then(|part| text(&part["prompt"])).unwrap_or_default(),
        other => text(other).unwrap_or_default(),
    };
    (to.prompt, to.negative_prompt) = parted(&prompt);
    to.sampler = text(&image["sampler"]);
    to.model = text(&all["model_weights"]);
    to.noise = Some(NoiseKind::TorchCpu);
    common(image, to);
}

/// Old versions kept away from what stood in square brackets.
fn parted(prompt: &str) -> (String, String) {
    let (mut kept, mut away) = (String::new(), Vec::new());
    let mut rest = prompt;
    while let Some((before, inside)) = rest.split_once('[') {
        let Some((negative, behind)) = inside.split_once(']') else { break };
        kept.push_str(before);
        away.push(negative.trim());
        rest = behind;
    }
    kept.push_str(rest);
    (kept.trim().to_owned(), away.join(" "))
}

/// `"a prompt" -s 50 -S 1234 -W 512 -H 512 -C 7.5 -A k_lms`.
pub(super) fn parse_command(command: &str) -> Metadata {
    let mut metadata = Metadata::new(Origin::InvokeAi, command);
    metadata.noise = Some(NoiseKind::TorchCpu);
    let (prompt, flags) = match command.strip_prefix('"').and_then(|rest| rest.rsplit_once('"')) {
        Some((prompt, flags)) => (prompt, flags),
        None => command.split_at(command.find(" -").unwrap_or(command.len())),
    };
    (metadata.prompt, metadata.negative_prompt) = parted(prompt);
    let (mut width, mut height) = (None, None);
    let mut words = flags.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-').and_then(|flag| flag.chars().next()) else { continue };
        let value = match &word[1 + flag.len_utf8()..] {
            "" => words.next_if(|next| !next.starts_with('-')).unwrap_or_default(),
            joined => joined,
        };
        match flag {
            's' => metadata.steps = value.parse().ok(),
            'S' => metadata.seed = value.parse().ok(),
            'W' => width = value.parse().ok(),
            'H' => height = value.parse().ok(),
            'C' => metadata.guidance = value.parse().ok(),
            'A' => metadata.sampler = Some(value.to_owned()),
            'f' => metadata.strength = value.parse().ok(),
            _ => metadata.others.push((word.to_owned(), value.to_owned())),
        }
    }
    metadata.size = width.zip(height);
    metadata
}
