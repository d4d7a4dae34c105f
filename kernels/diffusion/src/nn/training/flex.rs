//! The operations on the CPU backend's tensors.

use super::{
    ConvShape, TrainingOps, conv2d, geglu,
    group_norm::{self, GroupNormShape},
    layer_norm, linear,
};
use burn::{
    backend::{Flex, TensorMetadata as _, flex::FlexTensor},
    tensor::{Shape, TensorData},
};

impl TrainingOps for Flex {
    fn train_conv2d(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, shape: ConvShape) -> FlexTensor {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        let (height, width) = shape.output_sides();
        let output = conv2d::forward(values(&input), values(&weight), values(&bias), &shape);
        tensor(output, [shape.batch, shape.output, height, width])
    }

    fn train_conv2d_backward(
        input: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        shape: ConvShape,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [input, weight, gradient] = [input, weight, gradient].map(contiguous);
        let gradients = conv2d::backward(values(&input), values(&weight), values(&gradient), &shape);
        three(gradients, input.shape(), weight.shape())
    }

    fn train_group_norm(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> FlexTensor {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        let shape = group_norm_shape(&input, groups, epsilon, silu);
        tensor(group_norm::forward(values(&input), values(&weight), values(&bias), &shape), input.shape())
    }

    fn train_group_norm_backward(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        gradient: FlexTensor,
        groups: usize,
        epsilon: f32,
        silu: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [input, weight, bias, gradient] = [input, weight, bias, gradient].map(contiguous);
        let shape = group_norm_shape(&input, groups, epsilon, silu);
        let gradients = group_norm::backward(values(&input), values(&weight), values(&bias), values(&gradient), &shape);
        three(gradients, input.shape(), weight.shape())
    }

    fn train_layer_norm(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, epsilon: f32) -> FlexTensor {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        tensor(layer_norm::forward(values(&input), values(&weight), values(&bias), epsilon), input.shape())
    }

    fn train_layer_norm_backward(
        input: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        epsilon: f32,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [input, weight, gradient] = [input, weight, gradient].map(contiguous);
        let gradients = layer_norm::backward(values(&input), values(&weight), values(&gradient), epsilon);
        three(gradients, input.shape(), weight.shape())
    }

    fn train_linear(input: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let [input, weight, bias] = [input, weight, bias].map(contiguous);
        let ([rows, _], [out, _]) = (input.shape().dims(), weight.shape().dims());
        tensor(linear::forward(values(&input), values(&weight), values(&bias)), [rows, out])
    }

    fn train_linear_backward(
        input: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [input, weight, gradient] = [input, weight, gradient].map(contiguous);
        let [out, _] = weight.shape().dims();
        let gradients = linear::backward(values(&input), values(&weight), values(&gradient), out);
        three(gradients, input.shape(), weight.shape())
    }

    fn train_geglu(input: FlexTensor) -> FlexTensor {
        let input = contiguous(input);
        let [batch, tokens, width] = input.shape().dims();
        tensor(geglu::forward(values(&input), width / 2), [batch, tokens, width / 2])
    }

    fn train_geglu_backward(input: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let [input, gradient] = [input, gradient].map(contiguous);
        let [_, _, width] = input.shape().dims();
        tensor(geglu::backward(values(&input), values(&gradient), width / 2), input.shape())
    }
}

fn group_norm_shape(input: &FlexTensor, groups: usize, epsilon: f32, silu: bool) -> GroupNormShape {
    let [_, channels, height, width] = input.shape().dims();
    GroupNormShape { channels, area: height * width, groups, epsilon, silu }
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("f32, and contiguous by now")
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The gradients of an input, of a weight with its shape, and of a bias.
fn three(
    (input, weight, bias): (Vec<f32>, Vec<f32>, Vec<f32>),
    input_shape: Shape,
    weight_shape: Shape,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let bias_shape = [bias.len()];
    (tensor(input, input_shape), tensor(weight, weight_shape), tensor(bias, bias_shape))
}
