//! A model of some weight, for what memory is asked: Stable Diffusion 1.x with a wide denoiser of random blocks.

use crate::{
    Data, read_all,
    tensors::{Tensors, parted},
    to_safetensors,
};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::{
    nn::{BuilderRoot, Outlined},
    pipeline::Component,
    unet::UNet2DConditionModel,
};
use serde_json::{Value, json};
use std::io::Write;
use weights::{Dtype, GgufWriter, NewTensor, Quantisation, RawTensor};

/// How much the denoiser's weights take in the file at least; in single precision they take 3.7 times as much.
pub const WIDE_BYTES: u64 = 80 << 20;

/// Rank of the LoRA.
const RANK: usize = 4;

/// So many blocks of `Q8_0`, of random numbers (Marsaglia, 2003) small enough for a model's products.
fn blocks(count: usize) -> Vec<[u8; 34]> {
    let mut state = 1_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    // The scale of each, 2^-12, and its numbers.
    let block = |_| std::array::from_fn(|at| if at < 2 { 0x0C00_u16.to_le_bytes()[at] } else { random() });
    (0..count).map(block).collect()
}

/// The denoiser's configuration and tensors.
fn denoiser(config: &str) -> Result<(String, Vec<Outlined>)> {
    let mut config: Value = serde_json::from_str(config)?;
    config["block_out_channels"] = json!([256, 512, 512]);
    let config = config.to_string();
    let root = BuilderRoot::outline(&Device::flex());
    UNet2DConditionModel::new(&root.root(""), &serde_json::from_str(&config)?)?;
    Ok((config, root.outlined()))
}

/// Writes it as one GGUF in `Q8_0`, tensor by tensor.
///
/// # Errors
/// When it cannot be written.
pub fn write_wide(data: &Data, to: impl Write) -> Result<()> {
    let mut files = data.model("tiny-sd15")?;
    let (config, outlined) = denoiser(&files.unet_config)?;
    files.unet_config = config;
    let (metadata, parts) = parted(&files)?;
    let quantisation = Quantisation::new(Dtype::Q8_0);
    let mut listed: Vec<NewTensor> = outlined
        .iter()
        .map(|Outlined { name, shape, .. }| NewTensor {
            dtype: quantisation.stored_dtype(name, shape),
            name: format!("unet.{name}"),
            shape: shape.clone(),
        })
        .collect();
    let wide = listed.len();
    let mut others = Vec::new();
    for (part, Component { source, .. }) in parts.into_iter().filter(|(part, _)| *part != "unet") {
        for (name, raw) in read_all(&**source)? {
            others.push(weights::quantise(&raw.to_f32(), Dtype::F16)?);
            listed.push(NewTensor { name: format!("{part}.{name}"), dtype: Dtype::F16, shape: raw.shape });
        }
    }
    let mut writer = GgufWriter::new(to, &metadata, &listed)?;
    // A number that no row's length divides.
    let blocks = blocks(10_007);
    for tensor in &listed[..wide] {
        writer.push(&body(tensor, &blocks)?)?;
    }
    for other in others {
        writer.push(&other)?;
    }
    writer.finish()?.flush().context("the model cannot be written")
}

/// The blocks over and over; what is not quantised is a constant.
fn body(tensor: &NewTensor, blocks: &[[u8; 34]]) -> Result<Vec<u8>> {
    let count: usize = tensor.shape.iter().product();
    if tensor.dtype != Dtype::Q8_0 {
        let value = if tensor.name.contains("norm") && tensor.name.ends_with("weight") { 1.0 } else { 0.01 };
        return Ok(weights::quantise(&vec![value; count], tensor.dtype)?);
    }
    let length = count / 32 * 34;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let left = (length - bytes.len()) / 34;
        bytes.extend_from_slice(blocks[..left.min(blocks.len())].as_flattened());
    }
    Ok(bytes)
}

/// A LoRA on every matrix and convolution of its denoiser, as a safetensors file.
///
/// # Errors
/// When the recorded model cannot be read.
pub fn write_wide_lora(data: &Data) -> Result<Vec<u8>> {
    let (_, outlined) = denoiser(&data.model("tiny-sd15")?.unet_config)?;
    let mut tensors = Tensors::new();
    for Outlined { name, shape, .. } in outlined {
        let (Some(module), [rows, columns @ ..]) = (name.strip_suffix(".weight"), shape.as_slice()) else { continue };
        if columns.is_empty() {
            continue;
        }
        let ones = |count: usize| vec![1; count - 1];
        let down = [&[RANK], columns].concat();
        let up = [&[*rows, RANK], ones(columns.len()).as_slice()].concat();
        for (end, shape) in [("lora_A.weight", down), ("lora_B.weight", up)] {
            let values = vec![0.01_f32; shape.iter().product()];
            let bytes = weights::quantise(&values, Dtype::F32)?;
            tensors.insert(format!("unet.{module}.{end}"), RawTensor { dtype: Dtype::F32, shape, bytes });
        }
    }
    to_safetensors(&tensors)
}
