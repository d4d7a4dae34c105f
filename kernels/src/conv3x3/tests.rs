use super::{Activation, Conv3x3, conv3x3, padded_bias, reference};
use crate::{
    packed::{Format, PackedWeight, Products, RowOrder},
    testing::{self, HALF, device, matrix, numbers, tensor, unpacked},
};
use burn::tensor::Device;
use proptest::prelude::*;
use reference::Sizes;

const FORMATS: [Format; 4] = [Format::F32, Format::F16, Format::Q8, Format::Q4];

pub fn error(sizes: Sizes, format: Format, options: Conv3x3, extras: [bool; 2], device: &Device) -> f32 {
    error_of(Products::Single, sizes, format, options, extras, device)
}

fn error_of(
    products: Products,
    sizes: Sizes,
    format: Format,
    options: Conv3x3,
    [own_bias, with_residual]: [bool; 2],
    device: &Device,
) -> f32 {
    let Sizes { batch, input, output, height, width } = sizes;
    let shape = [batch, output, options.output_side(height), options.output_side(width)];
    let x = numbers(batch * input * height * width, 1);
    let w = matrix(format, output, input * 9);
    let biases = if own_bias { batch } else { 1 };
    let b = numbers(biases * output, 3);
    let r = if with_residual { numbers(shape.iter().product(), 4) } else { Vec::new() };
    let expected = reference::conv3x3(&x, &unpacked(&w, format), &b, &r, sizes, options);
    let found = conv3x3(
        tensor(&x, [batch, input, height, width], device),
        &PackedWeight::new(&w, format, [output, input * 9], RowOrder::Straight, device).with_products(products),
        padded_bias(tensor(&b, [biases, output], device)),
        with_residual.then(|| tensor(&r, shape, device)),
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
        halve: bool, double: bool, activation in 0_usize..3, format in 0_usize..4, own_bias: bool, with_residual: bool,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let format = FORMATS[format];
        let input = if matches!(format, Format::Q8 | Format::Q4) { input.div_ceil(5) * 32 } else { input };
        let sizes = Sizes { batch, input, output, height, width };
        let activation = [None, Some(Activation::Silu), Some(Activation::Relu)][activation];
        let options = Conv3x3 { halve, double, activation };
        let error = error(sizes, format, options, [own_bias, with_residual], &device);
        prop_assert!(error < 1e-5, "{sizes:?}, {format:?}: {error}");
    }
}

#[test]
fn a_layer_of_a_decoder_equals_the_reference() {
    let Some(device) = device() else { return };
    let sizes = Sizes { batch: 2, input: 64, output: 64, height: 16, width: 16 };
    for format in FORMATS {
        let options = Conv3x3 { double: true, activation: Some(Activation::Silu), ..Conv3x3::default() };
        for options in [Conv3x3::default(), options] {
            let error = error(sizes, format, options, [false, true], &device);
            assert!(error < 1e-5, "{format:?}, {options:?}: {error}");
        }
    }
}

/// Where the adapter has no half precision, these are products of single precision.
#[test]
fn products_of_half_precision_are_close_to_the_reference() {
    let Some(device) = device() else { return };
    let sizes = Sizes { batch: 2, input: 96, output: 24, height: 9, width: 11 };
    for format in FORMATS {
        let error = error_of(Products::Half, sizes, format, Conv3x3::default(), [true, true], &device);
        println!("{format:?}: {error:.1e}");
        assert!(error < HALF, "{format:?}: {error}");
    }
}
