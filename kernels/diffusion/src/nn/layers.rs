//! Norms, embeddings and activations.

#[cfg(feature = "autodiff")]
use super::training;
use super::{Builder, Init};
use burn::{
    module::{Module, Param},
    tensor::{
        Int, Tensor, activation,
        module::{embedding, interpolate},
        ops::{InterpolateMode, InterpolateOptions},
    },
};
use kernels::{
    matmul, norm,
    packed::{PackedWeight, RowOrder},
};

/// `Y = groupnorm(X) * γ + β` over groups of channels (Wu and He, 2018).
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// γ, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// β, `[channels]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    epsilon: f64,
}

impl GroupNorm {
    /// `channels` must be divisible by `groups`; configurations are checked for that when they are read.
    pub fn new(builder: &Builder<'_>, groups: usize, channels: usize, epsilon: f64) -> Self {
        Self {
            weight: builder.tensor("weight", [channels], Init::Ones),
            bias: builder.tensor("bias", [channels], Init::Zeros),
            groups,
            epsilon,
        }
    }

    /// # Shapes
    ///
    /// - input, output: `[batch, channels, height, width]`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "autodiff")]
        if training::handles(&self.weight.val()) {
            return self.train(input, false);
        }
        if kernels::handles(&input) {
            return self.ours(input, false);
        }
        self.infer(input)
    }

    /// The norm and then `silu`.
    ///
    /// # Shapes
    ///
    /// - input, output: `[batch, channels, height, width]`
    pub fn forward_silu(&self, input: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "autodiff")]
        if training::handles(&self.weight.val()) {
            return self.train(input, true);
        }
        if kernels::handles(&input) {
            return self.ours(input, true);
        }
        activation::silu(self.infer(input))
    }

    fn ours(&self, input: Tensor<4>, silu: bool) -> Tensor<4> {
        norm::group_norm(input, self.weight.val(), self.bias.val(), self.groups, self.epsilon as f32, silu)
    }

    #[cfg(feature = "autodiff")]
    fn train(&self, input: Tensor<4>, silu: bool) -> Tensor<4> {
        training::group_norm(input, self.weight.val(), self.bias.val(), self.groups, self.epsilon, silu)
    }

    fn infer(&self, input: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let grouped = input.reshape([batch, self.groups, channels / self.groups * height * width]);
        let centred = grouped.clone() - grouped.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let scale = (variance + self.epsilon).sqrt().recip();
        // The statistics' scale joins γ first, so that the large tensor is multiplied once and not twice.
        let per_group = channels / self.groups;
        let weight = self.weight.val().reshape([1, self.groups, per_group]) * scale;
        let centred = centred.reshape([batch, channels, height * width]);
        let output = centred * weight.reshape([batch, channels, 1]) + self.bias.val().reshape([1, channels, 1]);
        output.reshape([batch, channels, height, width])
    }
}

/// `Y = layernorm(X) * γ + β` over the last axis (Ba et al., 2016).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// γ, `[width]`.
    pub weight: Param<Tensor<1>>,
    /// β, `[width]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    /// A norm over `width` values.
    pub fn new(builder: &Builder<'_>, width: usize, epsilon: f64) -> Self {
        Self {
            weight: builder.tensor("weight", [width], Init::Ones),
            bias: builder.tensor("bias", [width], Init::Zeros),
            epsilon,
        }
    }

    /// # Shapes
    ///
    /// - input, output: `[batch, tokens, width]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        #[cfg(feature = "autodiff")]
        if training::handles(&self.weight.val()) {
            return training::layer_norm(input, self.weight.val(), self.bias.val(), self.epsilon);
        }
        if kernels::handles(&input) {
            return norm::layer_norm(input, self.weight.val(), self.bias.val(), self.epsilon as f32);
        }
        let centred = input.clone() - input.mean_dim(2);
        let variance = centred.clone().square().mean_dim(2);
        let normed = centred * (variance + self.epsilon).sqrt().recip();
        normed * self.weight.val().unsqueeze() + self.bias.val().unsqueeze()
    }
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[entries, width]`; nothing where the table is packed for our own kernel.
    pub weight: Param<Tensor<2>>,
    #[module(skip)]
    packed: Option<PackedWeight>,
}

impl Embedding {
    /// A table of `entries` rows.
    pub fn new(builder: &Builder<'_>, entries: usize, width: usize) -> Self {
        let packed = builder.packed("weight", &[entries, width], RowOrder::Straight);
        let weight = match &packed {
            Some(_) => Param::initialized(builder.id("weight"), Tensor::zeros([1, 1], builder.device())),
            None => builder.tensor("weight", [entries, width], Init::Normal(0.02)),
        };
        Self { weight, packed }
    }

    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`
    /// - output: `[batch, tokens, width]`
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        match &self.packed {
            Some(packed) => kernels::embedding::embedding(ids, packed),
            None => embedding(self.weight.val(), ids),
        }
    }
}

/// What stands between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x σ(1.702 x)`.
    QuickGelu,
    /// The exact Gaussian error linear unit.
    Gelu,
    /// `x σ(x)`.
    Silu,
}

impl Activation {
    /// Applies it to every value.
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::QuickGelu => quick_gelu(input),
            Self::Gelu => activation::gelu(input),
            Self::Silu => activation::silu(input),
        }
    }

    /// The same in our own kernel.
    pub(super) const fn fused(self) -> matmul::Activation {
        match self {
            Self::QuickGelu => matmul::Activation::QuickGelu,
            Self::Gelu => matmul::Activation::Gelu,
            Self::Silu => matmul::Activation::Silu,
        }
    }
}

/// `x σ(1.702 x)`, OpenAI's approximation in CLIP.
pub fn quick_gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    input.clone() * activation::sigmoid(input * 1.702)
}

/// Doubles height and width by repeating pixels.
///
/// # Shapes
///
/// - input: `[batch, channels, height, width]`
/// - output: `[batch, channels, 2 height, 2 width]`
pub fn upsample_nearest(input: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = input.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([height * 2, width * 2]);
    interpolate(input, options)
}
