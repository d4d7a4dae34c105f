//! Two-dimensional convolutions.

#[cfg(feature = "autodiff")]
use super::training;
use super::{Builder, Init, PackedLinear, Seamless, upsample_nearest};
use burn::{
    module::{Module, Param},
    tensor::{FloatDType, Tensor, TensorData, activation, module::conv2d, ops::ConvOptions},
};
use kernels::{
    conv3x3::{Activation, Conv3x3 as Fused, conv3x3, padded_bias},
    packed::{PackedWeight, RowOrder},
};

/// Kernel, stride and padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A convolution as our own kernels take it.
#[derive(Debug, Clone)]
enum Packed {
    /// 3 x 3, with a bias as [`padded_bias`] makes it.
    Three(PackedWeight, Tensor<2>),
    /// 1 x 1.
    Point(PackedLinear),
}

/// Two-dimensional convolution.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[out, in, kernel, kernel]`; nothing where the layer is packed for our own kernel.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
    #[module(skip)]
    product_dtype: Option<FloatDType>,
    #[module(skip)]
    packed: Option<Box<Packed>>,
}

impl Conv2d {
    /// With a bias.
    pub fn new(builder: &Builder<'_>, input: usize, output: usize, shape: Conv2dShape) -> Self {
        Self::with(builder, [input, output], shape, true)
    }

    /// Without a bias.
    pub fn without_bias(builder: &Builder<'_>, input: usize, output: usize, shape: Conv2dShape) -> Self {
        Self::with(builder, [input, output], shape, false)
    }

    fn with(builder: &Builder<'_>, [input, output]: [usize; 2], shape: Conv2dShape, with_bias: bool) -> Self {
        let Conv2dShape { kernel, stride, padding } = shape;
        let dims = [output, input, kernel, kernel];
        let init = Init::FanIn(input * kernel * kernel);
        let product_dtype = builder.product_dtype();
        let is_ours = [Conv2dShape::SAME3, Conv2dShape::DOWN3, Conv2dShape::POINT].contains(&shape);
        if let Some(weight) = is_ours.then(|| builder.packed("weight", &dims, RowOrder::Straight)).flatten() {
            let bias = with_bias.then(|| builder.values("bias", output)).flatten();
            let packed = Packed::new(weight, bias, shape, builder);
            let weight = Param::initialized(builder.id("weight"), Tensor::zeros([1; 4], builder.device()));
            return Self { weight, bias: None, stride, padding, product_dtype, packed: Some(Box::new(packed)) };
        }
        let bias = with_bias.then(|| builder.tensor("bias", [output], init));
        Self { weight: builder.tensor("weight", dims, init), bias, stride, padding, product_dtype, packed: None }
    }

    /// # Shapes
    ///
    /// - input: `[batch, in, height, width]`
    /// - output: `[batch, out, height', width']`
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let seams = self.seams();
        if seams.is_any() {
            return self.around(seams, input, |input| self.plain(input));
        }
        self.plain(input)
    }

    /// The convolution, then `max(x, 0)`.
    pub fn forward_relu(&self, input: Tensor<4>) -> Tensor<4> {
        if self.seams().is_any() {
            return activation::relu(self.forward(input));
        }
        let fused = Fused { activation: Some(Activation::Relu), ..Fused::default() };
        self.ours(&input, None, fused).unwrap_or_else(|| activation::relu(self.framework(input)))
    }

    /// The convolution, plus `residual`.
    pub fn forward_add(&self, input: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        if self.seams().is_any() {
            return self.forward(input) + residual;
        }
        match self.ours(&input, Some(&residual), Fused::default()) {
            Some(output) => output,
            None => self.framework(input) + residual,
        }
    }

    /// The convolution, plus `residual`, then `max(x, 0)`.
    pub fn forward_add_relu(&self, input: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        if self.seams().is_any() {
            return activation::relu(self.forward(input) + residual);
        }
        let fused = Fused { activation: Some(Activation::Relu), ..Fused::default() };
        match self.ours(&input, Some(&residual), fused) {
            Some(output) => output,
            None => activation::relu(self.framework(input) + residual),
        }
    }

    /// The convolution of the input with twice its height and width (see [`upsample_nearest`]).
    pub fn forward_doubled(&self, input: Tensor<4>) -> Tensor<4> {
        if self.seams().is_any() {
            return self.forward(upsample_nearest(input));
        }
        let fused = Fused { double: true, ..Fused::default() };
        self.ours(&input, None, fused).unwrap_or_else(|| self.framework(upsample_nearest(input)))
    }

    /// The convolution with another bias for each picture, where [`Self::bias_to_fold`] gave its own away.
    ///
    /// # Shapes
    ///
    /// - bias: `[batch, out]`
    pub(crate) fn forward_biased(&self, input: &Tensor<4>, bias: Tensor<2>) -> Option<Tensor<4>> {
        let Packed::Three(weight, _) = self.packed.as_deref()? else { return None };
        let seams = self.seams();
        let biased = |input| conv3x3(input, weight, padded_bias(bias), None, self.fused(Fused::default()));
        if seams.is_any() {
            return Some(self.around(seams, input.clone(), biased));
        }
        Some(biased(input.clone()))
    }

    fn plain(&self, input: Tensor<4>) -> Tensor<4> {
        self.ours(&input, None, Fused::default()).unwrap_or_else(|| self.framework(input))
    }

    /// Axes along which an edge goes on at the opposite one where zeros would stand.
    fn seams(&self) -> Seamless {
        if self.padding == 0 { Seamless::NONE } else { Seamless::current() }
    }

    /// The middle of the convolution of a larger input, where the zeros around that are out of reach.
    fn around(&self, seams: Seamless, input: Tensor<4>, convolved: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = input.dims();
        let beside = self.padding * self.stride;
        let reach = |length: usize| beside.min(length) / self.stride;
        let [rows, columns] = self.weight_sides();
        let size = |length: usize, kernel: usize| (length + 2 * self.padding - kernel) / self.stride + 1;
        let output = convolved(seams.surround(input, beside));
        seams.middle(output, [reach(height), reach(width)], [size(height, rows), size(width, columns)])
    }

    /// Sides of the kernel.
    fn weight_sides(&self) -> [usize; 2] {
        match self.packed.as_deref() {
            Some(Packed::Three(..)) => [3, 3],
            Some(Packed::Point(_)) => [1, 1],
            None => {
                let [.., rows, columns] = self.weight.dims();
                [rows, columns]
            }
        }
    }

    /// The bias, for whoever makes one for each picture of it; 3 x 3 in our own kernel alone.
    pub(crate) fn bias_to_fold(&self) -> Option<Tensor<1>> {
        match self.packed.as_deref() {
            Some(Packed::Three(weight, bias)) => Some(bias.clone().narrow(1, 0, weight.rows).squeeze_dim(0)),
            _ => None,
        }
    }

    /// The layer as a product of rows, where it is 1 x 1 and our own kernel's.
    pub(crate) fn point(&self) -> Option<&PackedLinear> {
        match self.packed.as_deref() {
            Some(Packed::Point(linear)) => Some(linear),
            _ => None,
        }
    }

    /// By our own kernel, where the weight is packed for it.
    fn ours(&self, input: &Tensor<4>, residual: Option<&Tensor<4>>, fused: Fused) -> Option<Tensor<4>> {
        match self.packed.as_deref()? {
            Packed::Three(weight, bias) => {
                Some(conv3x3(input.clone(), weight, bias.clone(), residual.cloned(), self.fused(fused)))
            }
            Packed::Point(linear) => {
                let input = if fused.double { upsample_nearest(input.clone()) } else { input.clone() };
                let output = linear.pixels(input);
                let output = residual.map_or_else(|| output.clone(), |residual| output.clone() + residual.clone());
                Some(if fused.activation.is_some() { activation::relu(output) } else { output })
            }
        }
    }

    const fn fused(&self, fused: Fused) -> Fused {
        Fused { halve: self.stride == 2, ..fused }
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

impl Packed {
    fn new(weight: PackedWeight, bias: Option<Vec<f32>>, shape: Conv2dShape, builder: &Builder<'_>) -> Self {
        if shape == Conv2dShape::POINT {
            return Self::Point(PackedLinear::new(weight, bias, RowOrder::Straight, builder.device()));
        }
        let bias = bias.unwrap_or_else(|| vec![0.0; weight.rows]);
        let bias = Tensor::from_data(TensorData::new(bias, [1, weight.rows]), builder.device());
        Self::Three(weight, padded_bias(bias))
    }
}
