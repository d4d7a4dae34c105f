//! What Stable Diffusion XL is told beside the prompt's words (Podell et al., 2023).

use super::{TimestepEmbedding, UNetConfig, sinusoids};
use crate::nn::Builder;
use burn::{module::Module, tensor::Tensor};

/// The pooled text and the sizes of each picture of a batch.
#[derive(Debug, Clone)]
pub struct AddedConditions {
    /// `[batch, width]`.
    pub pooled: Tensor<2>,
    /// For each picture: original height and width, the crop's top and left, target height and width.
    pub sizes: Vec<[f64; 6]>,
}

impl AddedConditions {
    /// Those of `count` pictures from `first`.
    #[must_use]
    pub fn narrow(&self, first: usize, count: usize) -> Self {
        Self { pooled: self.pooled.clone().narrow(0, first, count), sizes: self.sizes[first..first + count].to_vec() }
    }

    /// One batch behind the other.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        self.sizes.extend(other.sizes);
        Self { pooled: Tensor::cat(vec![self.pooled, other.pooled], 0), sizes: self.sizes }
    }
}

/// Makes one vector of them, which is added to the timestep's.
#[derive(Module, Debug)]
pub struct AddedEmbedding {
    embedding: TimestepEmbedding,
    #[module(skip)]
    size_width: usize,
    #[module(skip)]
    flip_sin_to_cos: bool,
    #[module(skip)]
    freq_shift: f64,
}

impl AddedEmbedding {
    /// `None` for a model that is told nothing more; the configuration must be a valid one.
    pub fn new(builder: &Builder<'_>, config: &UNetConfig, output: usize) -> Option<Self> {
        let (Some(_), Some(size_width), Some(input)) =
            (config.pooled_width(), config.addition_time_embed_dim, config.projection_class_embeddings_input_dim)
        else {
            return None;
        };
        Some(Self {
            embedding: TimestepEmbedding::new(builder, input, output),
            size_width,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
        })
    }

    /// # Shapes
    ///
    /// - output: `[batch, output]`
    pub fn forward(&self, added: &AddedConditions) -> Tensor<2> {
        let [batch, _] = added.pooled.dims();
        let flat = added.sizes.as_flattened();
        let device = added.pooled.device();
        let sizes = sinusoids(flat, self.size_width, self.flip_sin_to_cos, self.freq_shift, &device);
        let sizes = sizes.reshape([batch, self.size_width * flat.len() / batch]);
        self.embedding.forward(Tensor::cat(vec![added.pooled.clone(), sizes], 1))
    }
}
