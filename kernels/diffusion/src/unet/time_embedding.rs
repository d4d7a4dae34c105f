//! From a timestep to a vector.

use crate::nn::{Activation, Builder, Linear};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, activation::silu},
};

/// Sines and cosines of a timestep at `width / 2` frequencies (Vaswani et al., 2017).
///
/// # Shapes
///
/// - timesteps: `[batch]`
/// - output: `[batch, width]`
pub fn sinusoids(timesteps: &[f64], width: usize, flip: bool, shift: f64, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let mut values = Vec::with_capacity(timesteps.len() * width);
    for &timestep in timesteps {
        let angle = |k: usize| {
            // The reference rounds the frequency to f32 before it multiplies.
            let frequency = libm::exp(-libm::log(10_000.0) * k as f64 / (half as f64 - shift)) as f32;
            f64::from(timestep as f32 * frequency)
        };
        let sines = (0..half).map(|k| libm::sin(angle(k)) as f32);
        let cosines = (0..half).map(|k| libm::cos(angle(k)) as f32);
        if flip {
            values.extend(cosines.chain(sines));
        } else {
            values.extend(sines.chain(cosines));
        }
        values.resize(values.len() + width % 2, 0.0);
    }
    Tensor::from_data(TensorData::new(values, [timesteps.len(), width]), device)
}

/// Two layers over the sinusoids.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    /// From `input` sinusoids to `output` values.
    pub fn new(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        Self {
            linear_1: Linear::new(&builder.pp("linear_1"), input, output),
            linear_2: Linear::new(&builder.pp("linear_2"), output, output),
        }
    }

    /// Without an activation after it.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, input]`
    /// - output: `[batch, output]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let hidden = self.linear_1.forward_activated(input.unsqueeze(), Activation::Silu);
        self.linear_2.forward(hidden).squeeze_dim(0)
    }

    /// The embedding and `added`, after the activation that every residual block starts with.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, input]`
    /// - added, output: `[batch, output]`
    pub fn forward_added_silu(&self, input: Tensor<2>, added: Tensor<2>) -> Tensor<2> {
        silu(self.forward(input) + added)
    }

    /// The embedding after the activation that every residual block starts with.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, input]`
    /// - output: `[batch, output]`
    pub fn forward_silu(&self, input: Tensor<2>) -> Tensor<2> {
        let hidden = self.linear_1.forward_activated(input.unsqueeze(), Activation::Silu);
        self.linear_2.forward_activated(hidden, Activation::Silu).squeeze_dim(0)
    }
}
