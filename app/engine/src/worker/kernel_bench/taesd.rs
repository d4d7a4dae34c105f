//! The small autoencoder in its real shape, with random weights.

use burn::tensor::Device;
use diffusion::{
    config::ConfigError,
    nn::{BuilderRoot, Outlined},
    noise::Philox,
    vae::{AutoencoderTiny, TinyVaeConfig},
};
use weights::{Dtype, RawTensor, TensorInfo, TensorSource, WeightsError};

/// Drawn by the initialisers it computes with burn's operations, from a checkpoint with our kernels where they run.
pub fn random(device: &Device, is_ours: bool) -> Result<AutoencoderTiny, ConfigError> {
    let config = config();
    if !is_ours {
        return AutoencoderTiny::new(&BuilderRoot::random(1, device).root(""), &config);
    }
    let outline = BuilderRoot::outline(device);
    AutoencoderTiny::new(&outline.root(""), &config)?;
    let source = RandomSource::new(outline.outlined());
    AutoencoderTiny::new(&BuilderRoot::from_checkpoint(&source, device, false).root(""), &config)
}

fn config() -> TinyVaeConfig {
    TinyVaeConfig {
        in_channels: 3,
        latent_channels: 4,
        encoder_block_out_channels: vec![64; 4],
        decoder_block_out_channels: vec![64; 4],
        num_encoder_blocks: vec![1, 3, 3, 3],
        num_decoder_blocks: vec![3, 3, 3, 1],
        scaling_factor: 1.0,
    }
}

struct RandomSource {
    tensors: Vec<TensorInfo>,
}

impl RandomSource {
    fn new(outlined: Vec<Outlined>) -> Self {
        let info = |Outlined { name, shape, .. }| {
            let bytes = shape.iter().product::<usize>() as u64 * 4;
            TensorInfo { name, dtype: Dtype::F32, shape, offset: 0, bytes }
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
        let shape = info.shape.clone();
        // As wide as keeps a layer's outputs the size of its inputs.
        let bound = (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
        let values = Philox::new(1).uniform(shape.iter().product());
        let bytes = values.iter().flat_map(|value| ((value * 2.0 - 1.0) * bound).to_le_bytes()).collect();
        Ok(RawTensor { dtype: Dtype::F32, shape, bytes })
    }

    fn metadata(&self, _key: &str) -> Option<&str> {
        None
    }
}
