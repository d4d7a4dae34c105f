//! Latents in safetensors files, to compare with other implementations.

use anyhow::{Context as _, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use diffusion::pipeline::{GenerateError, Generated};
use std::{collections::BTreeMap, fs::File, io::BufWriter, path::Path};
use weights::{Dtype, TensorView, write_safetensors};

const NOISE: &str = "latents";

/// Reads the tensor `latents`, `[batch, channels, height / factor, width / factor]`.
pub fn read(path: &Path, device: &Device) -> Result<Tensor<4>> {
    let shown = path.display();
    let source = weights::open_path(path).with_context(|| format!("could not read the latents in {shown}"))?;
    let Some(info) = source.info(NOISE) else {
        let names: Vec<_> = source.tensors().iter().take(8).map(|info| info.name.as_str()).collect();
        bail!("{shown} has no tensor `{NOISE}`, only {}", names.join(", "));
    };
    let Ok(shape) = <[usize; 4]>::try_from(info.shape.as_slice()) else {
        bail!("`{NOISE}` in {shown} is {:?}, but must have 4 dimensions: batch, channels, height, width", info.shape);
    };
    let values = source.read(NOISE)?.to_f32();
    if values.iter().any(|value| !value.is_finite()) {
        bail!("`{NOISE}` in {shown} has values that are infinite or not a number");
    }
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

/// Writes `final_latents` and `image` (0..1, NCHW).
pub fn write(path: &Path, made: &Generated) -> Result<()> {
    let tensors = [("final_latents", host(&made.latents)?), ("image", host(&made.image)?)];
    let views = tensors.iter().map(|(name, (shape, bytes))| TensorView { name, dtype: Dtype::F32, shape, bytes });
    File::create(path)
        .map_err(anyhow::Error::from)
        .and_then(|file| Ok(write_safetensors(BufWriter::new(file), views, &BTreeMap::new())?))
        .with_context(|| format!("could not write the latents to {}", path.display()))
}

fn host(tensor: &Tensor<4>) -> Result<([usize; 4], Vec<u8>), GenerateError> {
    let data = pollster::block_on(tensor.clone().into_data_async())?;
    Ok((tensor.dims(), data.iter::<f32>().flat_map(f32::to_le_bytes).collect()))
}
