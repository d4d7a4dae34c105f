use super::use_everywhere;
#[cfg(target_arch = "x86_64")]
use super::wide::Level;
use crate::{
    attention, conv3x3,
    embedding::embedding,
    matmul::{self, Activation, Layout, Matmul},
    norm::{self, Norm, group_norm, layer_norm},
    packed::{Format, PackedWeight, RowOrder},
    testing::{self, matrix, numbers, tensor, unpacked},
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use proptest::prelude::*;

/// The vectors that a test asks for.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub enum Forced {
    /// Four numbers, as in a browser.
    Four,
    /// Wide ones.
    Wide(Level),
}

#[cfg(target_arch = "x86_64")]
thread_local! {
    static FORCED: std::cell::Cell<Option<Forced>> = const { std::cell::Cell::new(None) };
}

/// What a test asks for on its thread.
#[cfg(target_arch = "x86_64")]
pub fn forced() -> Option<Forced> {
    FORCED.get()
}

fn device() -> Device {
    use_everywhere();
    Device::flex()
}

/// The greatest error of a computation by vectors of four, and of each width that this machine has.
fn worst(error: impl Fn(&Device) -> f32) -> f32 {
    let device = device();
    #[cfg(target_arch = "x86_64")]
    {
        let wide = match Level::detected() {
            Some(Level::V4) => vec![Level::V3, Level::V4],
            Some(Level::V3) => vec![Level::V3],
            None => Vec::new(),
        };
        wide.into_iter().map(Forced::Wide).chain([Forced::Four]).fold(0.0, |worst: f32, forced| {
            FORCED.set(Some(forced));
            let error = error(&device);
            // What is no number is worse than all.
            if worst.is_nan() || error.is_nan() { f32::NAN } else { worst.max(error) }
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    error(&device)
}

fn layout(is_planes: bool) -> Layout {
    if is_planes { Layout::Planes } else { Layout::Rows }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Ragged edges, every layout and activation.
    #[test]
    fn a_product_equals_the_reference(
        batch in 1_usize..=4, tokens in 1_usize..=70, columns in 1_usize..=20, rows in 1_usize..=70,
        planes_in: bool, planes_out: bool, activation in 0_usize..5, with_residual: bool,
    ) {
        let activation = [
            None, Some(Activation::Gelu), Some(Activation::QuickGelu), Some(Activation::Silu), Some(Activation::Geglu),
        ][activation];
        let rows = if activation == Some(Activation::Geglu) { rows.next_multiple_of(8) } else { rows };
        let plan = Matmul { input: layout(planes_in), output: layout(planes_out), activation };
        let sizes = matmul::reference::Sizes { batch, tokens, columns: columns * 4, rows };
        let error = worst(|device| matmul::tests::error(sizes, Format::F32, plan, with_residual, device));
        prop_assert!(error < 1e-5, "{sizes:?}, {plan:?}: {error}");
    }

    /// Ragged edges, odd channels, every option.
    #[test]
    fn a_convolution_equals_the_reference(
        batch in 1_usize..=4, input in 1_usize..=9, output in 1_usize..=19, height in 1_usize..=11, width in 1_usize..=13,
        halve: bool, double: bool, activation in 0_usize..3, own_bias: bool, with_residual: bool,
    ) {
        let sizes = conv3x3::reference::Sizes { batch, input, output, height, width };
        let activation = [None, Some(conv3x3::Activation::Silu), Some(conv3x3::Activation::Relu)][activation];
        let options = conv3x3::Conv3x3 { halve, double, activation };
        let error = worst(|device| conv3x3::tests::error(sizes, Format::F32, options, [own_bias, with_residual], device));
        prop_assert!(error < 1e-5, "{sizes:?}, {options:?}: {error}");
    }

    /// Tokens that fill no tile, heads of any width.
    #[test]
    fn attention_equals_the_reference(
        batch in 1_usize..=4, queries in 1_usize..=90, keys in 1_usize..=80, heads in 1_usize..=3, depth in 1_usize..=48,
    ) {
        let sizes = attention::reference::Sizes { batch, queries, keys, heads, depth };
        let error = worst(|device| attention::tests::error(sizes, &[], device));
        prop_assert!(error < 1e-5, "{sizes:?}: {error}");
    }

    #[test]
    fn attention_with_a_mask_equals_the_reference(batch in 1_usize..=2, tokens in 1_usize..=77, heads in 1_usize..=3) {
        let sizes = attention::reference::Sizes { batch, queries: tokens, keys: tokens, heads, depth: 8 };
        let error = worst(|device| attention::tests::error(sizes, &attention::tests::causal(tokens), device));
        prop_assert!(error < 1e-5, "{sizes:?}: {error}");
    }

    /// Odd groups and sides, values far from zero.
    #[test]
    fn group_norm_equals_the_reference(
        batch in 1_usize..=4, groups in 1_usize..=5, each in 1_usize..=7, height in 1_usize..=9, width in 1_usize..=11,
        silu: bool, offset in -50.0_f32..50.0,
    ) {
        let (channels, area) = (groups * each, height * width);
        let x: Vec<f32> = numbers(batch * channels * area, 1).into_iter().map(|value| value + offset).collect();
        let (w, b) = (numbers(channels, 2), numbers(channels, 3));
        let expected = norm::reference::norm(&x, &w, &b, Norm { length: each * area, groups, area, epsilon: 1e-5, silu });
        let error = worst(|device| {
            let x = tensor(&x, [batch, channels, height, width], device);
            let (w, b) = (tensor(&w, [channels], device), tensor(&b, [channels], device));
            testing::error(group_norm(x, w, b, groups, 1e-5, silu), &expected)
        });
        prop_assert!(error < 1e-4, "{error}");
    }

    #[test]
    fn layer_norm_equals_the_reference(batch in 1_usize..=4, tokens in 1_usize..=9, width in 1_usize..=200) {
        let x = numbers(batch * tokens * width, 4);
        let (w, b) = (numbers(width, 5), numbers(width, 6));
        let expected =
            norm::reference::norm(&x, &w, &b, Norm { length: width, groups: 1, area: 1, epsilon: 1e-5, silu: false });
        let error = worst(|device| {
            let (w, b) = (tensor(&w, [width], device), tensor(&b, [width], device));
            testing::error(layer_norm(tensor(&x, [batch, tokens, width], device), w, b, 1e-5), &expected)
        });
        prop_assert!(error < 1e-5, "{error}");
    }
}

/// More than one stretch of columns, of tokens, of channels and of panels.
#[test]
fn layers_larger_than_their_blocks_equal_the_reference() {
    let plan = Matmul { output: Layout::Planes, ..Matmul::ROWS };
    let sizes = matmul::reference::Sizes { batch: 2, tokens: 300, columns: 1_100, rows: 20 };
    let error = worst(|device| matmul::tests::error(sizes, Format::F32, plan, true, device));
    assert!(error < 1e-5, "{error}");
    for (height, width) in [(24, 12), (7, 9)] {
        let sizes = conv3x3::reference::Sizes { batch: 2, input: 70, output: 12, height, width };
        let error = worst(|device| {
            conv3x3::tests::error(sizes, Format::F32, conv3x3::Conv3x3::default(), [true, true], device)
        });
        assert!(error < 1e-5, "{error}");
    }
}

#[test]
fn a_table_gives_its_rows() {
    let (device, rows, columns) = (device(), 21, 96);
    let ids = [0_i32, 20, 7, 8, 3, 15];
    let bytes = matrix(Format::F32, rows, columns);
    let table = unpacked(&bytes, Format::F32);
    let expected: Vec<f32> = ids.iter().flat_map(|&id| table[id as usize * columns..][..columns].to_vec()).collect();
    let weight = PackedWeight::new(&bytes, Format::F32, [rows, columns], RowOrder::Straight, &device);
    let found = embedding(Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), [2, 3]), &device), &weight);
    assert!(testing::error(found, &expected) == 0.0);
}
