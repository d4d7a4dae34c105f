//! Linear layers.

#[cfg(feature = "autodiff")]
use super::training;
use super::{Builder, Init, PackedLinear};
use burn::{
    module::{Module, Param},
    tensor::{FloatDType, Tensor, activation::gelu},
};
use kernels::{
    matmul::{Activation, Matmul},
    packed::RowOrder,
};

/// `Y = X Wᵀ + b` with `W` as checkpoints store it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`; nothing where the layer is packed for our own kernel.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    product_dtype: Option<FloatDType>,
    #[module(skip)]
    packed: Option<Box<PackedLinear>>,
}

impl Linear {
    /// With a bias.
    pub fn new(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        Self::ordered(builder, [output, input], true, RowOrder::Straight)
    }

    /// Without a bias.
    pub fn without_bias(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        Self::ordered(builder, [output, input], false, RowOrder::Straight)
    }

    /// With a bias, and gates in the second half of its outputs: for [`Self::forward_gated`] alone.
    pub fn gated(builder: &Builder<'_>, input: usize, output: usize) -> Self {
        // A tile has four values and their gates.
        let order = if output.is_multiple_of(8) { RowOrder::Halves } else { RowOrder::Straight };
        Self::ordered(builder, [output, input], true, order)
    }

    fn ordered(builder: &Builder<'_>, shape: [usize; 2], with_bias: bool, order: RowOrder) -> Self {
        let init = Init::FanIn(shape[1]);
        let product_dtype = builder.product_dtype();
        if let Some(weight) = builder.packed("weight", &shape, order) {
            let bias = with_bias.then(|| builder.values("bias", shape[0])).flatten();
            let packed = PackedLinear::new(weight, bias, order, builder.device());
            let weight = Param::initialized(builder.id("weight"), Tensor::zeros([1, 1], builder.device()));
            return Self { weight, bias: None, product_dtype, packed: Some(Box::new(packed)) };
        }
        let bias = with_bias.then(|| builder.tensor("bias", [shape[0]], init));
        Self { weight: builder.tensor("weight", shape, init), bias, product_dtype, packed: None }
    }

    /// The layer as our own kernel takes it, where that computes it.
    pub(crate) fn packed(&self) -> Option<&PackedLinear> {
        self.packed.as_deref()
    }

    /// The same, for whoever folds another layer into it.
    pub(crate) fn packed_mut(&mut self) -> Option<&mut PackedLinear> {
        self.packed.as_deref_mut()
    }

    /// # Shapes
    ///
    /// - input: `[batch, tokens, in]`
    /// - output: `[batch, tokens, out]`
    pub fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        if let Some(packed) = &self.packed {
            return packed.forward(input, None, Matmul::ROWS);
        }
        let [batch, tokens, width] = input.dims();
        let output = self.forward_rows(input.reshape([batch * tokens, width]));
        let [_, out] = output.dims();
        output.reshape([batch, tokens, out])
    }

    /// The layer, plus `residual`.
    pub fn forward_add(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        match &self.packed {
            Some(packed) => packed.forward(input, Some(residual), Matmul::ROWS),
            None => self.forward(input) + residual,
        }
    }

    /// The layer, then an activation.
    pub fn forward_activated(&self, input: Tensor<3>, activation: super::Activation) -> Tensor<3> {
        match &self.packed {
            Some(packed) => {
                packed.forward(input, None, Matmul { activation: Some(activation.fused()), ..Matmul::ROWS })
            }
            None => activation.forward(self.forward(input)),
        }
    }

    /// The first half of the outputs, each times the GELU of its gate in the second half (Shazeer, 2020).
    ///
    /// # Shapes
    ///
    /// - input: `[batch, tokens, in]`
    /// - output: `[batch, tokens, out / 2]`
    pub fn forward_gated(&self, input: Tensor<3>) -> Tensor<3> {
        if let Some(packed) = &self.packed
            && packed.order == RowOrder::Halves
        {
            return packed.forward(input, None, Matmul { activation: Some(Activation::Geglu), ..Matmul::ROWS });
        }
        let hidden = self.forward(input);
        #[cfg(feature = "autodiff")]
        if training::handles(&self.weight.val()) {
            return training::geglu(hidden);
        }
        let [_, _, width] = hidden.dims();
        let value = hidden.clone().narrow(2, 0, width / 2);
        let gate = hidden.narrow(2, width / 2, width / 2);
        value * gelu(gate)
    }

    /// # Shapes
    ///
    /// - input: `[rows, in]`
    /// - output: `[rows, out]`
    pub fn forward_rows(&self, input: Tensor<2>) -> Tensor<2> {
        if let Some(packed) = &self.packed {
            return packed.forward(input.unsqueeze(), None, Matmul::ROWS).squeeze_dim(0);
        }
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
