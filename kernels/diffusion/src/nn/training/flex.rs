//! The operations on the CPU backend's tensors.

use super::{Layer, TrainingOps, conv2d, geglu, group_norm, layer_norm, linear};
use burn::{
    backend::{Flex, TensorMetadata as _, flex::FlexTensor},
    tensor::{Shape, TensorData},
};

impl TrainingOps for Flex {
    fn train_layer(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, layer: Layer) -> FlexTensor {
        let tensors = [input, weight, bias].map(contiguous);
        let [x, w, b] = tensors.each_ref().map(values);
        let input_shape = tensors[0].shape();
        match layer {
            Layer::Conv2d(shape) => {
                let (height, width) = shape.output_sides();
                tensor(conv2d::forward(x, w, b, &shape), [shape.batch, shape.output, height, width])
            }
            Layer::GroupNorm(shape) => tensor(group_norm::forward(x, w, b, &shape), input_shape),
            Layer::LayerNorm { epsilon } => tensor(layer_norm::forward(x, w, b, epsilon), input_shape),
            Layer::Linear => {
                let [rows, _] = input_shape.dims();
                tensor(linear::forward(x, w, b), [rows, b.len()])
            }
        }
    }

    fn train_layer_backward(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        gradient: FlexTensor,
        layer: Layer,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let tensors = [input, weight, bias, gradient].map(contiguous);
        let [x, w, b, gradient] = tensors.each_ref().map(values);
        let (of_input, of_weight, of_bias) = match layer {
            Layer::Conv2d(shape) => conv2d::backward(x, w, gradient, &shape),
            Layer::GroupNorm(shape) => group_norm::backward(x, w, b, gradient, &shape),
            Layer::LayerNorm { epsilon } => layer_norm::backward(x, w, gradient, epsilon),
            Layer::Linear => linear::backward(x, w, gradient, b.len()),
        };
        let [input, weight, bias, _] = tensors.map(|tensor| tensor.shape());
        (tensor(of_input, input), tensor(of_weight, weight), tensor(of_bias, bias))
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

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("f32, and contiguous by now")
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
