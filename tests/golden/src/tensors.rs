//! Whole weight files in memory, to be changed and written again.

use anyhow::{Context as _, Result};
use burn::tensor::{Device, Tensor, TensorData};
use diffusion::pipeline::{Component, ModelFiles, keys};
use std::collections::BTreeMap;
use weights::{Dtype, GgufValue, GgufWriter, NewTensor, Quantisation, RawTensor, TensorSource, TensorView};

/// Tensors by name.
pub type Tensors = BTreeMap<String, RawTensor>;

/// Every tensor of a file.
///
/// # Errors
/// When one cannot be read.
pub fn read_all(source: &dyn TensorSource) -> Result<Tensors> {
    source.tensors().iter().map(|info| Ok((info.name.clone(), source.read(&info.name)?))).collect()
}

/// The tensors as a safetensors file.
///
/// # Errors
/// When the format has no place for one.
pub fn to_safetensors(tensors: &Tensors) -> Result<Vec<u8>> {
    let views = tensors.iter().map(|(name, raw)| {
        let RawTensor { dtype, shape, bytes } = raw;
        TensorView { name, dtype: *dtype, shape, bytes }
    });
    let mut file = Vec::new();
    weights::write_safetensors(&mut file, views, &BTreeMap::new())?;
    Ok(file)
}

/// A whole model as one GGUF with the tensors that fit it stored as `dtype`.
///
/// # Errors
/// When a tensor cannot be read or stored.
pub fn to_gguf(files: &ModelFiles, dtype: Dtype) -> Result<Vec<u8>> {
    let (metadata, parts) = parted(files)?;
    let quantisation = Quantisation::new(dtype);
    let (mut listed, mut bodies) = (Vec::new(), Vec::new());
    for (part, component) in parts {
        let Component { source, .. } = component;
        for (name, raw) in read_all(&**source)? {
            let dtype = quantisation.stored_dtype(&name, &raw.shape);
            bodies.push(weights::quantise(&raw.to_f32(), dtype).with_context(|| format!("cannot store {name}"))?);
            listed.push(NewTensor { name: format!("{part}.{name}"), dtype, shape: raw.shape });
        }
    }
    let mut writer = GgufWriter::new(Vec::new(), &metadata, &listed)?;
    for body in bodies {
        writer.push(&body)?;
    }
    Ok(writer.finish()?)
}

/// What a GGUF says of a model, and the model's parts under their names in it.
type Parted<'a> = (Vec<(String, GgufValue)>, Vec<(&'static str, &'a Component)>);

pub(crate) fn parted(files: &ModelFiles) -> Result<Parted<'_>> {
    let (vae_config, vae) = files.vae.as_ref().context("the model has no autoencoder")?;
    let metadata = [
        (keys::UNET, &files.unet_config),
        (keys::VAE, vae_config),
        (keys::TEXT, &files.text_config),
        (keys::SCHEDULER, &files.scheduler_config),
        (keys::VOCAB, &files.vocab),
        (keys::MERGES, &files.merges),
        (keys::PAD, &files.pad_token),
    ]
    .map(|(key, text)| (key.to_owned(), GgufValue::String(text.clone())));
    let mut metadata = metadata.to_vec();
    let mut parts = vec![("unet", &files.unet), ("vae", vae), ("text_encoder", &files.text_encoder)];
    if let Some(second) = &files.text_encoder_2 {
        parts.push(("text_encoder_2", &second.component));
        metadata.extend(
            [(keys::TEXT_2, &second.config), (keys::PAD_2, &second.pad_token)]
                .map(|(key, text)| (key.to_owned(), GgufValue::String(text.clone()))),
        );
    }
    Ok((metadata, parts))
}

/// A recorded tensor on a device.
pub(crate) fn tensor<const D: usize>(tensors: &Tensors, name: &str, device: &Device) -> Result<Tensor<D>> {
    let raw = tensors.get(name).with_context(|| format!("no `{name}` is recorded"))?;
    let shape: [usize; D] =
        raw.shape.as_slice().try_into().with_context(|| format!("`{name}` has the shape {:?}", raw.shape))?;
    Ok(Tensor::from_data(TensorData::new(raw.to_f32(), shape), device))
}

/// Recorded numbers.
pub(crate) fn numbers(tensors: &Tensors, name: &str) -> Result<Vec<f32>> {
    Ok(tensors.get(name).with_context(|| format!("no `{name}` is recorded"))?.to_f32())
}
