//! Networks in their real shapes, with random weights.

use burn::tensor::{Device, Tensor};
use diffusion::{
    config::ConfigError,
    nn::{Builder, BuilderRoot, Outlined},
    noise::Philox,
    unet::{Context, UNet2DConditionModel, UNetConfig},
    vae::{AutoencoderKl, AutoencoderTiny, TinyVaeConfig, VaeConfig},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weights::{Dtype, RawTensor, TensorInfo, TensorSource, WeightsError};

/// A network's pass over latents.
pub type Pass = Box<dyn Fn(Tensor<4>) -> Tensor<4>>;

/// TAESD's decoder.
pub fn taesd(origin: Origin<'_>) -> Result<Pass, ConfigError> {
    let config = TinyVaeConfig::taesd();
    let network = origin.build(|builder| AutoencoderTiny::new(builder, &config))?;
    Ok(Box::new(move |latents| network.decode(latents)))
}

/// The decoder of Stable Diffusion's autoencoder.
pub fn vae(origin: Origin<'_>) -> Result<Pass, ConfigError> {
    let config: VaeConfig =
        parsed("vae", json!({ "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2 }))?;
    let network = origin.build(|builder| AutoencoderKl::new(builder, &config))?;
    Ok(Box::new(move |latents| network.decode(latents)))
}

/// The denoiser of Stable Diffusion 1.5.
pub fn unet(origin: Origin<'_>) -> Result<Pass, ConfigError> {
    let config: UNetConfig = parsed(
        "unet",
        json!({
            "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280],
            "layers_per_block": 2, "cross_attention_dim": 768, "attention_head_dim": 8, "norm_num_groups": 32, "norm_eps": 1e-5,
        }),
    )?;
    let network = origin.build(|builder| UNet2DConditionModel::new(builder, &config))?;
    let device = origin.device.clone();
    Ok(Box::new(move |latents| {
        let [batch, ..] = latents.dims();
        let context = Context::new(Tensor::ones([batch, 77, 768], &device));
        network.forward(latents, &vec![500.0; batch], &context)
    }))
}

fn parsed<T: DeserializeOwned>(part: &'static str, config: Value) -> Result<T, ConfigError> {
    serde_json::from_value(config).map_err(|source| ConfigError::Json { part, source })
}

/// Where a network's weights come from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub device: &'a Device,
    /// From a checkpoint, with our kernels where they run; else drawn by the initialisers, with burn's operations.
    pub is_ours: bool,
    /// How the checkpoint stores matrices whose rows fill blocks: `F32` or `Q8_0`.
    pub dtype: Dtype,
}

impl Origin<'_> {
    fn build<T>(self, new: impl Fn(&Builder<'_>) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
        if !self.is_ours {
            return new(&BuilderRoot::random(1, self.device).root(""));
        }
        let outline = BuilderRoot::outline(self.device);
        new(&outline.root(""))?;
        let source = RandomSource::new(outline.outlined(), self.dtype);
        new(&BuilderRoot::from_checkpoint(&source, self.device, true).root(""))
    }
}

struct RandomSource {
    tensors: Vec<TensorInfo>,
}

impl RandomSource {
    fn new(outlined: Vec<Outlined>, dtype: Dtype) -> Self {
        let info = |Outlined { name, shape, .. }| {
            let count = shape.iter().product::<usize>() as u64;
            let fits = shape.len() > 1 && shape[1..].iter().product::<usize>().is_multiple_of(32);
            let (dtype, bytes) =
                if dtype == Dtype::Q8_0 && fits { (dtype, count / 32 * 34) } else { (Dtype::F32, count * 4) };
            TensorInfo { name, dtype, shape, offset: 0, bytes }
        };
        let mut tensors: Vec<_> = outlined.into_iter().map(info).collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Self { tensors }
    }
}

impl TensorSource for RandomSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<RawTensor, WeightsError> {
        let info = self.info(name).ok_or_else(|| WeightsError::UnknownTensor { name: name.to_owned() })?;
        let (dtype, shape) = (info.dtype, info.shape.clone());
        let bytes = if dtype == Dtype::Q8_0 {
            // Small numbers of every sign under a scale of 2^-8: 860 million are not worth drawing.
            let block: Vec<u8> = [0x00, 0x1C].into_iter().chain((0..32).map(|at| (at % 5 - 2_i8) as u8)).collect();
            block.repeat(info.bytes as usize / block.len())
        } else {
            // As wide as keeps a layer's outputs the size of its inputs.
            let bound = (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
            let values = Philox::new(1).uniform(shape.iter().product());
            values.iter().flat_map(|value| ((value * 2.0 - 1.0) * bound).to_le_bytes()).collect()
        };
        Ok(RawTensor { dtype, shape, bytes })
    }

    fn metadata(&self, _key: &str) -> Option<&str> {
        None
    }
}
