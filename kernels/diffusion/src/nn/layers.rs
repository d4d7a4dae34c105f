//! Linear, convolution, embedding and norms.

#[cfg(feature = "autodiff")]
use super::training;
use super::{Builder, Init};
use burn::{
    module::{Module, Param},
    tensor::{
        FloatDType, Int, Tensor, activation,
        module::{conv2d, embedding, interpolate},
        ops::{ConvOptions, InterpolateMode, InterpolateOptions},
    },
};
use kernels::{
    conv3x3::{Conv3x3 as Fused, conv3x3, packed_bias, packed_weight},
    norm,
};

/// `Y = X Wᵀ + b` with `W` as checkpoints store it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`, possibly packed.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    product_dtype: Option<FloatDType>,
}

impl Linear {
    /// With a bias.
    pub fn new(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        let bias = builder.tensor("bias", [output], Init::FanIn(input));
        Self { bias: Some(bias), ..Self::without_bias(builder, input, output) }
    }

    /// Without a bias.
    pub fn without_bias(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        let weight = builder.tensor("weight", [output, input], Init::FanIn(input));
        Self { weight, bias: None, product_dtype: builder.product_dtype() }
    }

    /// # Shapes
    ///
    /// - input: `[batch, tokens, in]`
    /// - output: `[batch, tokens, out]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = input.dims();
        let output = self.forward_rows(input.reshape([batch * tokens, width]));
        let [_, out] = output.dims();
        output.reshape([batch, tokens, out])
    }

    /// # Shapes
    ///
    /// - input: `[rows, in]`
    /// - output: `[rows, out]`
    pub fn forward_rows(&self, input: Tensor<2>) -> Tensor<2> {
        #[cfg(feature = "autodiff")]
        if self.product_dtype.is_none() && training::handles(&self.weight.val()) {
            let [out, _] = self.weight.dims();
            let none = || Tensor::zeros([out], &input.device());
            let bias = self.bias.as_ref().map_or_else(none, Param::val);
            return training::linear(input, self.weight.val(), bias);
        }
        let weight = self.weight.val().transpose();
        let output = match self.product_dtype {
            Some(dtype) => input.cast(dtype).matmul(weight.cast(dtype)).cast(FloatDType::F32),
            None => input.matmul(weight),
        };
        match &self.bias {
            Some(bias) => output + bias.val().unsqueeze(),
            None => output,
        }
    }
}

/// Kernel, stride and padding of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Conv2dShape {
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: usize,
}

impl Conv2dShape {
    /// 3 x 3 that keeps the size.
    pub const SAME3: Self = Self { kernel: 3, stride: 1, padding: 1 };
    /// 3 x 3 that halves the size.
    pub const DOWN3: Self = Self { kernel: 3, stride: 2, padding: 1 };
    /// 1 x 1.
    pub const POINT: Self = Self { kernel: 1, stride: 1, padding: 0 };
}

/// Two-dimensional convolution.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, kernel, kernel]`, or as [`packed_weight`] makes it.
    pub weight: Param<Tensor<4>>,
    /// `[out]`, or as [`packed_bias`] makes it.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
    #[module(skip)]
    product_dtype: Option<FloatDType>,
    /// Channels of the output, where our own kernel computes it.
    #[module(skip)]
    packed: Option<usize>,
}

impl Conv2d {
    /// With a bias.
    pub fn new(builder: &Builder<'_>, input: usize, output: usize, shape: Conv2dShape) -> Self {
        let bias = builder.tensor("bias", [output], Init::FanIn(input * shape.kernel * shape.kernel));
        Self { bias: Some(bias), ..Self::plain(builder, input, output, shape) }.packed(builder, output, shape)
    }

    /// Without a bias.
    pub fn without_bias(builder: &Builder<'_>, input: usize, output: usize, shape: Conv2dShape) -> Self {
        Self::plain(builder, input, output, shape).packed(builder, output, shape)
    }

    fn plain(builder: &Builder<'_>, input: usize, output: usize, shape: Conv2dShape) -> Self {
        let Conv2dShape { kernel, stride, padding } = shape;
        let weight = builder.tensor("weight", [output, input, kernel, kernel], Init::FanIn(input * kernel * kernel));
        Self { weight, bias: None, stride, padding, product_dtype: builder.product_dtype(), packed: None }
    }

    /// The same in our own kernel's layout, where that computes it; the checkpoint's layout is not kept beside it.
    fn packed(self, builder: &Builder<'_>, output: usize, shape: Conv2dShape) -> Self {
        let weight = self.weight.val();
        // An empty tensor stands in for one that the checkpoint lacks.
        let is_ours = shape.kernel == 3
            && shape.padding == 1
            && self.product_dtype.is_none()
            && weight.dims()[0] == output
            && kernels::handles(&weight);
        if !is_ours {
            return self;
        }
        let bias = self.bias.as_ref().map_or_else(|| Tensor::zeros([output], builder.device()), Param::val);
        Self {
            weight: Param::initialized(self.weight.id, packed_weight(weight)),
            bias: Some(Param::initialized(
                self.bias.as_ref().map_or(self.weight.id, |bias| bias.id),
                packed_bias(bias),
            )),
            packed: Some(output),
            ..self
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, in, height, width]`
    /// - output: `[batch, out, height', width']`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        match self.ours(&input, None, Fused::default()) {
            Some(output) => output,
            None => self.framework(input),
        }
    }

    /// The convolution, then `max(x, 0)`.
    pub fn forward_relu(&self, input: Tensor<4>) -> Tensor<4> {
        let fused = Fused { activation: Some(kernels::conv3x3::Activation::Relu), ..Fused::default() };
        self.ours(&input, None, fused).unwrap_or_else(|| activation::relu(self.framework(input)))
    }

    /// The convolution, plus `residual`.
    pub fn forward_add(&self, input: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        match self.ours(&input, Some(&residual), Fused::default()) {
            Some(output) => output,
            None => self.framework(input) + residual,
        }
    }

    /// The convolution, plus `residual`, then `max(x, 0)`.
    pub fn forward_add_relu(&self, input: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        let fused = Fused { activation: Some(kernels::conv3x3::Activation::Relu), ..Fused::default() };
        match self.ours(&input, Some(&residual), fused) {
            Some(output) => output,
            None => activation::relu(self.framework(input) + residual),
        }
    }

    /// The convolution of the input with twice its height and width (see [`upsample_nearest`]).
    pub fn forward_doubled(&self, input: Tensor<4>) -> Tensor<4> {
        let fused = Fused { double: true, ..Fused::default() };
        self.ours(&input, None, fused).unwrap_or_else(|| self.framework(upsample_nearest(input)))
    }

    /// By our own kernel, where the weight is packed for it.
    fn ours(&self, input: &Tensor<4>, residual: Option<&Tensor<4>>, fused: Fused) -> Option<Tensor<4>> {
        let (output, bias) = (self.packed?, self.bias.as_ref()?.val());
        let options = Fused { halve: self.stride == 2, ..fused };
        Some(conv3x3(input.clone(), self.weight.val(), bias, residual.cloned(), output, options))
    }

    fn framework(&self, input: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        #[cfg(feature = "autodiff")]
        if self.product_dtype.is_none() && training::handles(&weight) {
            let [output, ..] = weight.dims();
            let bias = bias.unwrap_or_else(|| Tensor::zeros([output], &input.device()));
            return training::conv2d(input, weight, bias, self.stride, self.padding);
        }
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        match self.product_dtype {
            Some(dtype) => {
                let bias = bias.map(|bias| bias.cast(dtype));
                conv2d(input.cast(dtype), weight.cast(dtype), bias, options).cast(FloatDType::F32)
            }
            None => conv2d(input, weight, bias, options),
        }
    }
}

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
    /// `[entries, width]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table of `entries` rows.
    pub fn new(builder: &Builder<'_>, entries: usize, width: usize) -> Self {
        Self { weight: builder.tensor("weight", [entries, width], Init::Normal(0.02)) }
    }

    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`
    /// - output: `[batch, tokens, width]`
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        embedding(self.weight.val(), ids)
    }
}

/// What stands between two layers of a text encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x σ(1.702 x)`.
    QuickGelu,
    /// The exact Gaussian error linear unit.
    Gelu,
}

impl Activation {
    /// Applies it to every value.
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::QuickGelu => quick_gelu(input),
            Self::Gelu => activation::gelu(input),
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
