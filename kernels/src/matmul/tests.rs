use super::{Activation, Layout, Matmul, knows, matmul, reference};
use crate::{
    packed::{Format, PackedWeight, Products, RowOrder},
    testing::{self, HALF, device, matrix, numbers, tensor, unpacked},
};
use burn::tensor::Device;
use proptest::prelude::*;
use reference::Sizes;

const FORMATS: [Format; 4] = [Format::F32, Format::F16, Format::Q8, Format::Q4];
const ACTIVATIONS: [Option<Activation>; 5] =
    [None, Some(Activation::Gelu), Some(Activation::QuickGelu), Some(Activation::Silu), Some(Activation::Geglu)];

pub fn error(sizes: Sizes, format: Format, plan: Matmul, with_residual: bool, device: &Device) -> f32 {
    error_of(Products::Single, sizes, format, plan, with_residual, device)
}

fn error_of(
    products: Products,
    sizes: Sizes,
    format: Format,
    plan: Matmul,
    with_residual: bool,
    device: &Device,
) -> f32 {
    let Sizes { batch, tokens, columns, rows } = sizes;
    let is_gated = plan.activation == Some(Activation::Geglu);
    let (order, outputs) = if is_gated { (RowOrder::Halves, rows / 2) } else { (RowOrder::Straight, rows) };
    let shape = |layout, values| if layout == Layout::Rows { [batch, tokens, values] } else { [batch, values, tokens] };
    let (x, w, b) = (numbers(batch * tokens * columns, 1), matrix(format, rows, columns), numbers(rows, 3));
    let r = if with_residual { numbers(batch * tokens * outputs, 4) } else { Vec::new() };
    let expected = reference::matmul(&x, &unpacked(&w, format), &b, &r, sizes, plan);
    let found = matmul(
        tensor(&x, shape(plan.input, columns), device),
        &PackedWeight::new(&w, format, [rows, columns], order, device).with_products(products),
        tensor(&order.arranged(&b), [rows], device),
        with_residual.then(|| tensor(&r, shape(plan.output, outputs), device)),
        plan,
    );
    testing::error(found, &expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Ragged edges, every format, layout and activation.
    #[test]
    fn it_equals_the_reference(
        batch in 1_usize..=4, tokens in 1_usize..=70, columns in 1_usize..=20, rows in 1_usize..=70, format in 0_usize..4,
        planes_in: bool, planes_out: bool, activation in 0_usize..5, with_residual: bool,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let (format, activation) = (FORMATS[format], ACTIVATIONS[activation]);
        let columns = if matches!(format, Format::Q8 | Format::Q4) { columns.div_ceil(5) * 32 } else { columns * 4 };
        let rows = if activation == Some(Activation::Geglu) { rows.next_multiple_of(8) } else { rows };
        let layout = |planes| if planes { Layout::Planes } else { Layout::Rows };
        let plan = Matmul { input: layout(planes_in), output: layout(planes_out), activation };
        prop_assert!(knows(format, columns));
        let error = error(Sizes { batch, tokens, columns, rows }, format, plan, with_residual, &device);
        prop_assert!(error < 1e-5, "{format:?}, {columns} columns, {rows} rows, {plan:?}: {error}");
    }
}

#[test]
fn a_gated_layer_equals_the_reference_in_every_format() {
    let Some(device) = device() else { return };
    for format in FORMATS {
        let plan = Matmul { activation: Some(Activation::Geglu), ..Matmul::ROWS };
        let error = error(Sizes { batch: 2, tokens: 64, columns: 320, rows: 160 }, format, plan, true, &device);
        assert!(error < 1e-5, "{format:?}: {error}");
    }
}

/// Where the adapter has no half precision, these are products of single precision.
#[test]
fn products_of_half_precision_are_close_to_the_reference() {
    let Some(device) = device() else { return };
    for format in FORMATS {
        let sizes = Sizes { batch: 2, tokens: 50, columns: 640, rows: 72 };
        let error = error_of(Products::Half, sizes, format, Matmul::ROWS, true, &device);
        println!("{format:?}: {error:.1e}");
        assert!(error < HALF, "{format:?}: {error}");
    }
}

#[test]
fn quantised_matrices_take_no_more_bytes_than_in_the_file() {
    let Some(device) = device() else { return };
    for format in FORMATS {
        let bytes = matrix(format, 64, 320);
        let packed = PackedWeight::new(&bytes, format, [64, 320], RowOrder::Straight, &device);
        assert_eq!(packed.bytes(), bytes.len(), "{format:?}");
        assert_eq!(packed.words.dims()[0] * 4, bytes.len(), "{format:?}");
    }
}
