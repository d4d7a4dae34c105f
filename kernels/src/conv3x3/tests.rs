use super::{Activation, Conv3x3, conv3x3, packed_bias, packed_weight, reference};
use crate::testing::{self, device, numbers, tensor};
use burn::tensor::Device;
use proptest::prelude::*;
use reference::Sizes;

fn error(sizes: Sizes, options: Conv3x3, with_residual: bool, device: &Device) -> f32 {
    let Sizes { batch, input, output, height, width } = sizes;
    let shape = [batch, output, options.output_side(height), options.output_side(width)];
    let x = numbers(batch * input * height * width, 1);
    let w = numbers(output * input * 9, 2);
    let b = numbers(output, 3);
    let r = if with_residual { numbers(shape.iter().product(), 4) } else { Vec::new() };
    let expected = reference::conv3x3(&x, &w, &b, &r, sizes, options);
    let found = conv3x3(
        tensor(&x, [batch, input, height, width], device),
        packed_weight(tensor(&w, [output, input, 3, 3], device)),
        packed_bias(tensor(&b, [output], device)),
        with_residual.then(|| tensor(&r, shape, device)),
        output,
        options,
    );
    testing::error(found, &expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Ragged edges, odd channels, every option.
    #[test]
    fn it_equals_the_reference(
        batch in 1_usize..=4, input in 1_usize..=9, output in 1_usize..=19, height in 1_usize..=11, width in 1_usize..=13,
        halve: bool, double: bool, activation in 0_usize..3, with_residual: bool,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let sizes = Sizes { batch, input, output, height, width };
        let activation = [None, Some(Activation::Silu), Some(Activation::Relu)][activation];
        let error = error(sizes, Conv3x3 { halve, double, activation }, with_residual, &device);
        prop_assert!(error < 1e-5, "{sizes:?}: {error}");
    }
}

#[test]
fn a_layer_of_a_decoder_equals_the_reference() {
    let Some(device) = device() else { return };
    let sizes = Sizes { batch: 2, input: 64, output: 64, height: 16, width: 16 };
    for options in
        [Conv3x3::default(), Conv3x3 { double: true, activation: Some(Activation::Silu), ..Conv3x3::default() }]
    {
        let error = error(sizes, options, true, &device);
        assert!(error < 1e-5, "{options:?}: {error}");
    }
}
