//! Every operation against the framework's own, values and gradients.

use super::{conv2d, geglu, group_norm, layer_norm, linear};
use burn::tensor::{
    Device, Distribution, Tensor,
    activation::{gelu, silu},
    module,
    ops::ConvOptions,
};

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.3, 1.0), device).require_grad()
}

fn assert_close<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>, what: &str) {
    let norm = |tensor: Tensor<D>| -> f32 { tensor.square().sum().into_scalar() };
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let error = (norm(found.clone() - expected.clone()) / norm(expected.clone()).max(1e-12)).sqrt();
    assert!(error < 1e-5, "{what} is off by {error}");
}

/// Compares two ways to compute something from three tensors, and the gradients of all three behind another factor.
fn compare<const I: usize, const W: usize, const O: usize>(
    name: &str,
    (input, weight, bias): (Tensor<I>, Tensor<W>, Tensor<1>),
    ours: impl Fn(Tensor<I>, Tensor<W>, Tensor<1>) -> Tensor<O>,
    theirs: impl Fn(Tensor<I>, Tensor<W>, Tensor<1>) -> Tensor<O>,
) {
    let expected = theirs(input.clone(), weight.clone(), bias.clone());
    let found = ours(input.clone(), weight.clone(), bias.clone());
    assert_close(&found.clone().detach(), &expected.clone().detach(), name);
    let factor = Tensor::<O>::random(expected.dims(), Distribution::Normal(0.1, 1.0), &input.device());
    let found = (found * factor.clone()).sum().backward();
    let expected = (expected * factor).sum().backward();
    let what = |part: &str| format!("{name}: gradient of {part}");
    assert_close(&input.grad(&found).unwrap(), &input.grad(&expected).unwrap(), &what("input"));
    assert_close(&weight.grad(&found).unwrap(), &weight.grad(&expected).unwrap(), &what("weight"));
    assert_close(&bias.grad(&found).unwrap(), &bias.grad(&expected).unwrap(), &what("bias"));
}

#[test]
fn convolutions_of_any_shape() {
    let device = Device::flex().autodiff();
    for (batch, channels, output, [height, width], kernel, stride, padding) in [
        (1, 1, 1, [1, 1], 3, 1, 1),
        (1, 3, 5, [7, 4], 3, 1, 1),
        (3, 4, 8, [16, 16], 3, 1, 1),
        (33, 5, 6, [4, 4], 3, 1, 1),
        (2, 4, 3, [8, 10], 3, 2, 1),
        (2, 4, 3, [9, 7], 3, 2, 0),
        (5, 6, 7, [5, 6], 1, 1, 0),
        (2, 3, 4, [6, 6], 1, 2, 0),
    ] {
        let tensors = (
            random([batch, channels, height, width], &device),
            random([output, channels, kernel, kernel], &device),
            random([output], &device),
        );
        let name = format!("{batch}x{channels}x{height}x{width} to {output}, kernel {kernel}, stride {stride}");
        let options = || ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        compare(
            &name,
            tensors,
            |input, weight, bias| conv2d(input, weight, bias, stride, padding),
            |input, weight, bias| module::conv2d(input, weight, Some(bias), options()),
        );
    }
}

#[test]
fn group_norms_with_and_without_silu() {
    let device = Device::flex().autodiff();
    for (batch, channels, groups, [height, width]) in [(1, 4, 2, [3, 5]), (3, 8, 8, [4, 4]), (2, 12, 1, [5, 7])] {
        for with_silu in [false, true] {
            let tensors = (
                random([batch, channels, height, width], &device),
                random([channels], &device),
                random([channels], &device),
            );
            compare(
                &format!("{batch}x{channels}x{height}x{width} in {groups} groups, silu {with_silu}"),
                tensors,
                |input, weight, bias| group_norm(input, weight, bias, groups, 1e-5, with_silu),
                |input, weight, bias| {
                    let grouped = input.reshape([batch, groups, channels / groups * height * width]);
                    let centred = grouped.clone() - grouped.mean_dim(2);
                    let variance = centred.clone().square().mean_dim(2);
                    let normed = (centred / (variance + 1e-5).sqrt()).reshape([batch, channels, height, width]);
                    let output = normed * weight.reshape([1, channels, 1, 1]) + bias.reshape([1, channels, 1, 1]);
                    if with_silu { silu(output) } else { output }
                },
            );
        }
    }
}

#[test]
fn layer_norms() {
    let device = Device::flex().autodiff();
    for (batch, tokens, width) in [(1, 1, 7), (2, 300, 32), (3, 5, 64)] {
        let tensors = (random([batch, tokens, width], &device), random([width], &device), random([width], &device));
        compare(
            &format!("{batch}x{tokens}x{width}"),
            tensors,
            |input, weight, bias| layer_norm(input, weight, bias, 1e-5),
            |input, weight, bias| {
                let centred = input.clone() - input.mean_dim(2);
                let variance = centred.clone().square().mean_dim(2);
                centred / (variance + 1e-5).sqrt() * weight.unsqueeze() + bias.unsqueeze()
            },
        );
    }
}

#[test]
fn linear_layers() {
    let device = Device::flex().autodiff();
    for (rows, width, out) in [(1, 1, 1), (300, 32, 48), (5, 7, 3)] {
        let tensors = (random([rows, width], &device), random([out, width], &device), random([out], &device));
        compare(&format!("{rows}x{width} to {out}"), tensors, linear, |input, weight, bias| {
            input.matmul(weight.transpose()) + bias.unsqueeze()
        });
    }
}

#[test]
fn gated_gelus() {
    let device = Device::flex().autodiff();
    for (batch, tokens, width) in [(1, 1, 3), (2, 70, 32)] {
        // The two unused tensors are there for the comparison's sake, with a gradient of one each.
        let tensors = (random([batch, tokens, 2 * width], &device), random([1], &device), random([1], &device));
        compare(
            &format!("{batch}x{tokens}x{width}"),
            tensors,
            |input, one, other| geglu(input) + (one + other).unsqueeze(),
            |input, one, other| {
                let gate = input.clone().narrow(2, width, width);
                input.narrow(2, 0, width) * gelu(gate) + (one + other).unsqueeze()
            },
        );
    }
}
