//! What ComfyUI writes: the graph of nodes that drew the picture.

use super::{Metadata, MetadataError, Origin, json_of, number, small, whole};
use crate::ExtraNetwork;
use serde_json::Value;
use spec::NoiseKind;

/// Nodes that a walk along the links visits, at most.
const MAX_WALK: usize = 256;
const SAMPLERS: [&str; 4] = ["KSampler", "KSamplerAdvanced", "KSampler (Efficient)", "SamplerCustom"];

/// Inputs under which nodes of single values keep them.
const VALUES: &[&str] = &["value", "text", "string", "seed", "noise_seed", "int", "Text", "STRING"];

/// Nodes by their id.
struct Graph<'a>(&'a Value);

impl Graph<'_> {
    /// The node that an input is linked to.
    fn linked(&self, input: &Value) -> Option<&Value> {
        self.0.get(input.as_array()?.first()?.as_str()?)
    }

    /// Walks upwards along the first of these inputs that is a link, and gives each node on the way.
    fn walk<'b>(&'b self, from: &'b Value, inputs: &'b [&str]) -> impl Iterator<Item = &'b Value> {
        let next = |node: &&'b Value| inputs.iter().find_map(|name| self.linked(&node["inputs"][*name]));
        std::iter::successors(self.linked(from), next).take(MAX_WALK)
    }

    /// A value that is written there, or by the node that it is linked to.
    fn value<'b>(&'b self, input: &'b Value) -> &'b Value {
        let written = |node: &'b Value| VALUES.iter().map(|name| &node["inputs"][*name]).find(|value| !value.is_null());
        self.walk(input, VALUES).filter_map(written).find(|value| !value.is_array()).unwrap_or(input)
    }

    /// The words behind a conditioning, whatever lies between.
    fn words(&self, conditioning: &Value) -> String {
        let between = ["conditioning", "conditioning_1", "conditioning_to", "positive"];
        let encodes = |node: &&Value| !node["inputs"]["text"].is_null() || !node["inputs"]["text_g"].is_null();
        let node = self.walk(conditioning, &between).find(encodes);
        let text = node.map(|node| &node["inputs"]).map(|inputs| {
            let text = if inputs["text"].is_null() { &inputs["text_g"] } else { &inputs["text"] };
            self.value(text).as_str().unwrap_or_default().to_owned()
        });
        text.unwrap_or_default()
    }
}

pub(super) fn parse(text: &str) -> Result<Metadata, MetadataError> {
    let all = json_of("prompt", text)?;
    // EXIF has the graph inside another object.
    let graph = Graph(if all["prompt"].is_object() { &all["prompt"] } else { &all });
    let nodes = graph.0.as_object().into_iter().flatten().map(|(_, node)| node);
    let samplers = nodes.filter(|node| node["class_type"].as_str().is_some_and(|class| SAMPLERS.contains(&class)));
    // The first pass is the one that starts from nothing.
    let sampler = samplers.max_by_key(|node| empty_size(&graph, node).is_some()).ok_or(MetadataError::Workflow)?;
    let inputs = &sampler["inputs"];
    let mut metadata = Metadata::new(Origin::ComfyUi, text);
    metadata.prompt = graph.words(&inputs["positive"]);
    metadata.negative_prompt = graph.words(&inputs["negative"]);
    metadata.steps = small(graph.value(&inputs["steps"]));
    metadata.guidance = number(graph.value(&inputs["cfg"]));
    let seed = if inputs["seed"].is_null() { &inputs["noise_seed"] } else { &inputs["seed"] };
    metadata.seed = whole(graph.value(seed));
    metadata.sampler = graph.value(&inputs["sampler_name"]).as_str().map(str::to_owned);
    metadata.schedule_type = graph.value(&inputs["scheduler"]).as_str().map(str::to_owned);
    metadata.size = empty_size(&graph, sampler);
    metadata.strength = number(graph.value(&inputs["denoise"])).filter(|denoise| *denoise < 1.0);
    metadata.noise = Some(NoiseKind::TorchCpu);
    models(&graph, inputs, &mut metadata);
    Ok(metadata)
}

/// The size of the latents that a sampler starts from, where they are empty.
fn empty_size(graph: &Graph<'_>, sampler: &Value) -> Option<(u32, u32)> {
    let nodes = graph.walk(&sampler["inputs"]["latent_image"], &["samples", "latent_image", "latent"]);
    nodes.last().and_then(|node| {
        let inputs = &node["inputs"];
        small(graph.value(&inputs["width"])).zip(small(graph.value(&inputs["height"])))
    })
}

/// The model, the networks on the way to it, and the text encoder's layer.
fn models(graph: &Graph<'_>, inputs: &Value, to: &mut Metadata) {
    for node in graph.walk(&inputs["model"], &["model"]) {
        let inputs = &node["inputs"];
        let named = |key: &str| inputs[key].as_str().map(|name| stem(name).to_owned());
        if let Some(name) = named("lora_name") {
            let unet_weight = number(&inputs["strength_model"]).unwrap_or(1.0);
            let text_weight = number(&inputs["strength_clip"]).unwrap_or(0.0);
            to.networks.push(ExtraNetwork { name, unet_weight, text_weight });
        }
        to.model = ["ckpt_name", "unet_name"].iter().find_map(|key| named(key)).or(to.model.take());
    }
    to.networks.reverse();
    let mut encoders = graph.walk(&inputs["positive"], &["conditioning", "positive", "clip"]);
    let layer = encoders.find_map(|node| node["inputs"]["stop_at_clip_layer"].as_i64());
    to.clip_skip = layer.and_then(|layer| u32::try_from(layer.checked_neg()?).ok());
    let loads = graph.walk(&inputs["latent_image"], &["samples", "latent_image", "pixels", "image"]);
    to.others.extend(loads.filter_map(|node| Some(("Image".to_owned(), node["inputs"]["image"].as_str()?.to_owned()))));
}

/// A file's name without folders and ending.
fn stem(name: &str) -> &str {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
