//! The parts of a file under diffusers' names.

use super::{
    blocks::{Blocks, Names},
    layout::{Place, Style},
    names::{OpenClip, autoencoder_to_diffusers, denoiser_to_diffusers, open_clip_to_transformers},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use weights::{Origin, TensorInfo, TensorSource, View, ViewEntry, WeightsError};

/// What begins the names of averaged weights in files of the original code, which has no dots behind it.
const AVERAGED: &str = "model_ema.";

/// Whether a file has a second set of denoiser weights, averaged over its training.
pub(super) fn has_averaged(tensors: &[TensorInfo]) -> bool {
    tensors.iter().any(|info| info.name.starts_with(AVERAGED) && info.shape.len() > 1)
}

fn inside<'a>(source: &'a dyn TensorSource, prefix: &str) -> impl Iterator<Item = (&'a str, &'a TensorInfo)> {
    source.tensors().iter().filter_map(move |info| Some((info.name.strip_prefix(prefix)?, info)))
}

fn same(info: &TensorInfo, name: String) -> ViewEntry {
    ViewEntry { name, shape: info.shape.clone(), origin: Origin::Whole(info.name.clone()) }
}

/// The denoiser, and how it is cut.
///
/// What has no other name keeps the one it has, so that loading names it as surplus.
pub(super) fn denoiser(
    source: &Rc<dyn TensorSource>,
    place: Place,
    averaged: bool,
) -> Result<(View, Blocks), WeightsError> {
    let names = Names::below(source.tensors().iter().map(|info| info.name.as_str()), place.prefix);
    let is_original = place.style == Style::Original;
    let blocks = if is_original { Blocks::of_original(&names) } else { Blocks::of_diffusers(&names) };
    let pairs = blocks.prefixes();
    let replaced: BTreeMap<String, &TensorInfo> = if averaged {
        inside(&**source, AVERAGED).map(|(name, info)| (name.to_owned(), info)).collect()
    } else {
        BTreeMap::new()
    };
    let entries = inside(&**source, place.prefix)
        .map(|(name, info)| {
            let ours = if is_original { denoiser_to_diffusers(&pairs, name) } else { None };
            let whole = format!("{}{name}", place.prefix);
            let average = replaced.get(&whole.trim_start_matches("model.").replace('.', "")).copied();
            same(average.unwrap_or(info), ours.unwrap_or_else(|| name.to_owned()))
        })
        .filter(|entry| !place.prefix.is_empty() || is_of_denoiser(&entry.name))
        .collect();
    Ok((View::new(Rc::clone(source), entries)?, blocks))
}

/// In a file without prefixes other parts may lie beside the denoiser.
fn is_of_denoiser(name: &str) -> bool {
    !["first_stage_model.", "cond_stage_model.", "conditioner.", "text_model.", "encoder.", "decoder."]
        .iter()
        .any(|start| name.starts_with(start))
}

/// The autoencoder; its attention's 1 x 1 convolutions become the matrices that they are.
pub(super) fn autoencoder(source: &Rc<dyn TensorSource>, place: Place) -> Result<View, WeightsError> {
    let names = Names::below(source.tensors().iter().map(|info| info.name.as_str()), place.prefix);
    let levels = names.count("decoder.up.");
    let is_original = place.style == Style::Original;
    let ours = |name: &str| if is_original { autoencoder_to_diffusers(name, levels) } else { Some(name.to_owned()) };
    let entries = inside(&**source, place.prefix).filter(|(name, _)| is_of_autoencoder(name));
    let entries = entries.map(|(name, info)| {
        let mut entry = same(info, ours(name).unwrap_or_else(|| name.to_owned()));
        if let ([rows, columns, 1, 1], true) = (&info.shape[..], entry.name.contains(".attentions.")) {
            entry.shape = vec![*rows, *columns];
        }
        entry
    });
    View::new(Rc::clone(source), entries.collect())
}

/// What training added, a loss with a network of its own, is no part of it.
fn is_of_autoencoder(name: &str) -> bool {
    ["encoder.", "decoder.", "quant_conv.", "post_quant_conv."].iter().any(|start| name.starts_with(start))
}

/// How a text encoder of the original code is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// All layers, and the projection of the pooled text.
    Whole,
    /// Without the last layer and the projection: SD 2.x takes what comes out of the last but one.
    LastButOne,
    /// So many layers, as a configuration says, without the projection.
    Layers(usize),
}

/// Layers of ViT-H/14, whose last one SD 2.x does not use; files that diffusers wrote leave it out.
const VIT_H_LAYERS: usize = 24;
/// Its width.
const VIT_H_WIDTH: usize = 1024;

/// A text encoder.
pub(super) fn text_encoder(source: &Rc<dyn TensorSource>, place: Place, depth: Depth) -> Result<View, WeightsError> {
    let entries = match place.style {
        Style::Diffusers => transformers(&**source, place),
        Style::Original => open_clip(&**source, place, depth),
    };
    View::new(Rc::clone(source), entries)
}

fn transformers(source: &dyn TensorSource, place: Place) -> Vec<ViewEntry> {
    // The prefix ends with what the names of this style begin with, except in the oldest files.
    let mut entries: Vec<_> = inside(source, place.prefix)
        .filter(|(name, _)| {
            !name.ends_with("position_ids") && *name != "logit_scale" && !name.contains("text_projection")
        })
        .map(|(name, info)| same(info, format!("text_model.{name}")))
        .collect();
    let outer = place.prefix.strip_suffix("text_model.").unwrap_or(place.prefix);
    let projections = [("text_projection.weight", false), ("text_projection", true)];
    for (name, is_turned) in projections {
        for owner in [outer, place.prefix] {
            let Some(info) = source.info(&format!("{owner}{name}")) else { continue };
            let [rows, columns] = info.shape[..] else { continue };
            let (shape, origin) = if is_turned {
                (vec![columns, rows], Origin::Transposed(info.name.clone()))
            } else {
                (vec![rows, columns], Origin::Whole(info.name.clone()))
            };
            entries.push(ViewEntry { name: "text_projection.weight".to_owned(), shape, origin });
            return entries;
        }
    }
    entries
}

fn open_clip(source: &dyn TensorSource, place: Place, depth: Depth) -> Vec<ViewEntry> {
    let names: BTreeSet<&str> = inside(source, place.prefix).map(|(name, _)| name).collect();
    let layers = Names::below(names.iter().copied(), "").count("transformer.resblocks.");
    let width = source.info(&format!("{}ln_final.weight", place.prefix)).and_then(|info| info.shape.first().copied());
    let is_cut_already = width == Some(VIT_H_WIDTH) && layers < VIT_H_LAYERS;
    let kept = match depth {
        Depth::LastButOne if !is_cut_already => layers.saturating_sub(1),
        Depth::Layers(kept) => kept.min(layers),
        Depth::Whole | Depth::LastButOne => layers,
    };
    let unused: Vec<String> = (kept..layers).map(|layer| format!("transformer.resblocks.{layer}.")).collect();
    let used = |name: &str| {
        let projects = depth == Depth::Whole || !name.starts_with("text_projection");
        projects && !unused.iter().any(|layer| name.starts_with(layer.as_str()))
    };
    inside(source, place.prefix)
        .filter(|(name, _)| used(name))
        .filter_map(|(name, info)| Some((open_clip_to_transformers(name)?, info)))
        .flat_map(|(ours, info)| match ours {
            OpenClip::Same(name) => vec![same(info, name)],
            OpenClip::Turned(name) => {
                let shape = info.shape.iter().rev().copied().collect();
                vec![ViewEntry { name, shape, origin: Origin::Transposed(info.name.clone()) }]
            }
            OpenClip::Fused(name) => thirds(&name, info),
        })
        .collect()
}

/// Queries, keys and values out of the rows of one tensor.
fn thirds(name: &str, info: &TensorInfo) -> Vec<ViewEntry> {
    let count = info.shape.first().copied().unwrap_or(0) / 3;
    ["q", "k", "v"]
        .iter()
        .enumerate()
        .map(|(index, letter)| {
            let mut shape = info.shape.clone();
            shape.iter_mut().take(1).for_each(|rows| *rows = count);
            let origin = Origin::Rows { name: info.name.clone(), first: index * count, count };
            ViewEntry { name: name.replace("{}", letter), shape, origin }
        })
        .collect()
}
