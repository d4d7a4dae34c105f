//! A linear layer or a 1 x 1 convolution as our own kernel takes it.

use burn::tensor::{Device, Tensor, TensorData};
use kernels::{
    matmul::{Layout, Matmul, matmul},
    packed::{PackedWeight, RowOrder},
};

/// Weight and bias on a device that our own kernels run on.
#[derive(Debug, Clone)]
pub struct PackedLinear {
    weight: PackedWeight,
    bias: Tensor<1>,
    /// How the outputs are ordered.
    pub order: RowOrder,
}

impl PackedLinear {
    /// A layer whose bias is zero where none is given.
    pub fn new(weight: PackedWeight, bias: Option<Vec<f32>>, order: RowOrder, device: &Device) -> Self {
        let bias = order.arranged(&bias.unwrap_or_else(|| vec![0.0; weight.rows]));
        let count = bias.len();
        Self { weight, bias: Tensor::from_data(TensorData::new(bias, [count]), device), order }
    }

    /// Adds to the bias: what the next layer would add anyway.
    pub fn add_to_bias(&mut self, values: Tensor<1>) {
        self.bias = self.bias.clone() + values;
    }

    /// # Shapes
    ///
    /// - input, residual, output: by `plan`
    pub fn forward(&self, input: Tensor<3>, residual: Option<Tensor<3>>, plan: Matmul) -> Tensor<3> {
        matmul(input, &self.weight, self.bias.clone(), residual, plan)
    }

    /// Pixels in, tokens out.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, in, height, width]`
    /// - output: `[batch, height * width, out]`
    pub fn to_tokens(&self, input: Tensor<4>) -> Tensor<3> {
        let plan = Matmul { input: Layout::Planes, ..Matmul::ROWS };
        self.forward(input.flatten(2, 3), None, plan)
    }

    /// Tokens in, pixels out, plus `residual`.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, height * width, in]`
    /// - residual, output: `[batch, out, height, width]`
    pub fn to_pixels(&self, input: Tensor<3>, residual: Tensor<4>) -> Tensor<4> {
        let shape = residual.dims();
        let plan = Matmul { output: Layout::Planes, ..Matmul::ROWS };
        self.forward(input, Some(residual.flatten(2, 3)), plan).reshape(shape)
    }

    /// Pixels in, pixels out.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, in, height, width]`
    /// - output: `[batch, out, height, width]`
    pub fn pixels(&self, input: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = input.dims();
        self.forward(input.flatten(2, 3), None, Matmul::PLANES).reshape([batch, self.weight.rows, height, width])
    }
}
