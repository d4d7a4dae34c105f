use super::{Conv3x3, conv3x3, packed_bias, packed_weight, reference};
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use reference::Sizes;

/// A device that the kernel runs on, where the machine has one.
fn device() -> Option<Device> {
    static DEVICE: std::sync::OnceLock<Option<Device>> = std::sync::OnceLock::new();
    DEVICE.get_or_init(|| Device::wgpu_options().init().ok()).clone()
}

/// Numbers between -1 and 1 without a pattern.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f32::from((state >> 16) as u16) / 32_768.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

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
    let found: Vec<f32> = found.into_data().try_to_vec().expect("f32");
    let largest = expected.iter().fold(1e-3, |most: f32, value| most.max(value.abs()));
    found.iter().zip(&expected).fold(0.0, |most: f32, (found, expected)| most.max((found - expected).abs())) / largest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Ragged edges, odd channels, every option.
    #[test]
    fn it_equals_the_reference(
        batch in 1_usize..=4, input in 1_usize..=9, output in 1_usize..=19, height in 1_usize..=11, width in 1_usize..=13,
        halve: bool, double: bool, silu: bool, with_residual: bool,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let sizes = Sizes { batch, input, output, height, width };
        let error = error(sizes, Conv3x3 { halve, double, silu }, with_residual, &device);
        prop_assert!(error < 1e-5, "{sizes:?}: {error}");
    }
}

#[test]
fn a_layer_of_a_decoder_equals_the_reference() {
    let Some(device) = device() else { return };
    let sizes = Sizes { batch: 2, input: 64, output: 64, height: 16, width: 16 };
    for options in [Conv3x3::default(), Conv3x3 { double: true, silu: true, ..Conv3x3::default() }] {
        let error = error(sizes, options, true, &device);
        assert!(error < 1e-5, "{options:?}: {error}");
    }
}
