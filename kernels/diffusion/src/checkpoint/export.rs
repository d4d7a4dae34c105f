//! The parts of a model under the names of the original code.

use super::{
    Contents, Generation,
    blocks::{Blocks, Names},
    names::{autoencoder_to_original, denoiser_to_original, transformers_to_open_clip},
};
use crate::pipeline::{Component, ModelFiles, ModelFilesError};
use std::{collections::BTreeMap, rc::Rc};
use weights::{Origin, TensorInfo, View, ViewEntry, WeightsError};

/// What begins the names of a denoiser's tensors.
const DENOISER: &str = "model.diffusion_model.";
/// What begins those of an autoencoder's.
const AUTOENCODER: &str = "first_stage_model.";

/// A part of a model under the names of the original code.
pub struct OriginalPart {
    /// What diffusers calls it: `unet`, `vae`, `text_encoder` or `text_encoder_2`.
    pub part: &'static str,
    /// Its tensors.
    pub component: Component,
    /// The name of each tensor in diffusers; of tensors that the original code has as one, the first.
    pub names: BTreeMap<String, String>,
}

/// All tensors of a model as the original code names them, part by part, and the generation that decides on it.
///
/// # Errors
/// As [`original_parts`].
pub fn under_original_names(files: &ModelFiles) -> Result<(Generation, Vec<Component>), ModelFilesError> {
    let (generation, parts) = original_parts(files)?;
    Ok((generation, parts.into_iter().map(|part| part.component).collect()))
}

/// The same with the name that each tensor has in diffusers.
///
/// # Errors
/// [`ModelFilesError::Contents`] for a denoiser of none of the generations, [`ModelFilesError::Part`] for an autoencoder that
/// the original code has not.
pub fn original_parts(files: &ModelFiles) -> Result<(Generation, Vec<OriginalPart>), ModelFilesError> {
    let (generation, unet) = original_denoiser(files, DENOISER)?;
    let contents = || contents(&files.unet);
    let Some((_, vae)) = &files.vae else {
        return Err(ModelFilesError::Part { part: "vae", contents: contents() });
    };
    let [first, second] = places(generation);
    let mut parts = vec![unet, autoencoder(vae).map_err(failed)?];
    parts.push(text_encoder("text_encoder", &files.text_encoder, &first).map_err(failed)?);
    if let Some(encoder) = &files.text_encoder_2 {
        parts.push(text_encoder("text_encoder_2", &encoder.component, &second).map_err(failed)?);
    }
    Ok((generation, parts))
}

/// The denoiser alone, its names beginning with `prefix`.
///
/// # Errors
/// [`ModelFilesError::Contents`] for a denoiser of none of the generations.
pub fn denoiser_under_original_names(
    files: &ModelFiles,
    prefix: &str,
) -> Result<(Generation, Component), ModelFilesError> {
    let (generation, part) = original_denoiser(files, prefix)?;
    Ok((generation, part.component))
}

/// The same with the name that each tensor has in diffusers.
///
/// # Errors
/// [`ModelFilesError::Contents`] for a denoiser of none of the generations.
pub fn original_denoiser(files: &ModelFiles, prefix: &str) -> Result<(Generation, OriginalPart), ModelFilesError> {
    let contents = contents(&files.unet);
    let generation = contents.denoiser().ok_or(ModelFilesError::Contents(contents))?.generation;
    Ok((generation, denoiser(&files.unet, prefix).map_err(failed)?))
}

fn failed(source: WeightsError) -> ModelFilesError {
    ModelFilesError::Weights { file: "the model".to_owned(), source }
}

fn contents(component: &Component) -> Contents {
    let infos: Vec<_> = inside(component).map(|(name, info)| TensorInfo { name, ..info.clone() }).collect();
    Contents::of(&infos)
}

fn inside(component: &Component) -> impl Iterator<Item = (String, &TensorInfo)> {
    let prefix = if component.prefix.is_empty() { String::new() } else { format!("{}.", component.prefix) };
    let tensors = component.source.tensors().iter();
    tensors.filter_map(move |info| Some((info.name.strip_prefix(&prefix)?.to_owned(), info)))
}

fn view(part: &'static str, component: &Component, entries: Vec<ViewEntry>) -> Result<OriginalPart, WeightsError> {
    let from = |origin: &Origin| match origin {
        Origin::Whole(name) | Origin::Transposed(name) | Origin::Rows { name, .. } => name.clone(),
        Origin::Joined(names) => names.first().cloned().unwrap_or_default(),
    };
    let within = |name: String| match name.strip_prefix(&component.prefix) {
        Some(rest) if !component.prefix.is_empty() => rest.trim_start_matches('.').to_owned(),
        _ => name,
    };
    let names = entries.iter().map(|entry| (entry.name.clone(), within(from(&entry.origin)))).collect();
    let source = Rc::new(View::new(Rc::clone(&component.source), entries)?);
    Ok(OriginalPart { part, component: Component { source, prefix: String::new() }, names })
}

fn same(name: String, info: &TensorInfo) -> ViewEntry {
    ViewEntry { name, shape: info.shape.clone(), origin: Origin::Whole(info.name.clone()) }
}

fn denoiser(component: &Component, prefix: &str) -> Result<OriginalPart, WeightsError> {
    let tensors: Vec<_> = inside(component).collect();
    let blocks = Blocks::of_diffusers(&Names::below(tensors.iter().map(|(name, _)| name.as_str()), ""));
    let mut pairs = blocks.prefixes();
    // The longest of diffusers' first: `conv_in.` is in the original code what begins `input_blocks.`.
    pairs.sort_by_key(|(_, ours)| std::cmp::Reverse(ours.len()));
    let entries = tensors.iter().map(|(name, info)| {
        let original = denoiser_to_original(&pairs, name).unwrap_or_else(|| name.clone());
        same(format!("{prefix}{original}"), info)
    });
    view("unet", component, entries.collect())
}

fn autoencoder(component: &Component) -> Result<OriginalPart, WeightsError> {
    let tensors: Vec<_> = inside(component).collect();
    let levels = Names::below(tensors.iter().map(|(name, _)| name.as_str()), "").count("decoder.up_blocks.");
    let entries = tensors.iter().map(|(name, info)| {
        let original = autoencoder_to_original(name, levels).unwrap_or_else(|| name.clone());
        let mut entry = same(format!("{AUTOENCODER}{original}"), info);
        if original.contains(".attn_1.") && entry.shape.len() == 2 {
            entry.shape.extend([1, 1]);
        }
        entry
    });
    view("vae", component, entries.collect())
}

/// Where a text encoder goes, and whether its names become `OpenCLIP`'s.
struct Place {
    prefix: &'static str,
    is_open_clip: bool,
}

const fn places(generation: Generation) -> [Place; 2] {
    let second = Place { prefix: "conditioner.embedders.1.model.", is_open_clip: true };
    let first = match generation {
        Generation::Sd1 => Place { prefix: "cond_stage_model.transformer.", is_open_clip: false },
        Generation::Sd2 => Place { prefix: "cond_stage_model.model.", is_open_clip: true },
        Generation::Sdxl => Place { prefix: "conditioner.embedders.0.transformer.", is_open_clip: false },
        Generation::SdxlRefiner => Place { prefix: "conditioner.embedders.0.model.", is_open_clip: true },
    };
    [first, second]
}

fn text_encoder(part: &'static str, component: &Component, place: &Place) -> Result<OriginalPart, WeightsError> {
    let Place { prefix, is_open_clip } = place;
    let tensors = inside(component).filter(|(name, _)| !name.ends_with("position_ids"));
    if !is_open_clip {
        return view(part, component, tensors.map(|(name, info)| same(format!("{prefix}{name}"), info)).collect());
    }
    let mut joined: BTreeMap<String, Vec<(usize, &TensorInfo)>> = BTreeMap::new();
    for (name, info) in tensors {
        let original = transformers_to_open_clip(&name).unwrap_or_else(|| name.clone());
        let order = ["q_proj", "k_proj", "v_proj"].iter().position(|part| name.contains(part)).unwrap_or(0);
        joined.entry(format!("{prefix}{original}")).or_default().push((order, info));
    }
    let entries = joined.into_iter().map(|(name, mut parts)| {
        parts.sort_by_key(|(order, _)| *order);
        match parts[..] {
            [(_, info)] if name.ends_with("text_projection") => {
                let shape = info.shape.iter().rev().copied().collect();
                ViewEntry { name, shape, origin: Origin::Transposed(info.name.clone()) }
            }
            [(_, info)] => same(name, info),
            _ => {
                let mut shape = parts[0].1.shape.clone();
                if let Some(rows) = shape.first_mut() {
                    *rows = parts.iter().filter_map(|(_, info)| info.shape.first()).sum();
                }
                let names = parts.iter().map(|(_, info)| info.name.clone()).collect();
                ViewEntry { name, shape, origin: Origin::Joined(names) }
            }
        }
    });
    view(part, component, entries.collect())
}
