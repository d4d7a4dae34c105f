use super::{Norm, group_norm, layer_norm, reference};
use crate::testing::{device, error, numbers, tensor};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Odd groups and sides, values far from zero.
    #[test]
    fn group_norm_equals_the_reference(
        batch in 1_usize..=4, groups in 1_usize..=5, each in 1_usize..=7, height in 1_usize..=9, width in 1_usize..=11,
        silu: bool, offset in -50.0_f32..50.0,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let channels = groups * each;
        let area = height * width;
        let x: Vec<f32> = numbers(batch * channels * area, 1).into_iter().map(|value| value + offset).collect();
        let (w, b) = (numbers(channels, 2), numbers(channels, 3));
        let norm = Norm { length: each * area, groups, area, epsilon: 1e-5, silu };
        let expected = reference::norm(&x, &w, &b, norm);
        let x = tensor(&x, [batch, channels, height, width], &device);
        let found = group_norm(x, tensor(&w, [channels], &device), tensor(&b, [channels], &device), groups, 1e-5, silu);
        let error = error(found, &expected);
        prop_assert!(error < 2e-4, "{error}");
    }

    #[test]
    fn layer_norm_equals_the_reference(batch in 1_usize..=4, tokens in 1_usize..=9, width in 1_usize..=200) {
        let Some(device) = device() else { return Ok(()) };
        let x = numbers(batch * tokens * width, 4);
        let (w, b) = (numbers(width, 5), numbers(width, 6));
        let expected = reference::norm(&x, &w, &b, Norm { length: width, groups: 1, area: 1, epsilon: 1e-5, silu: false });
        let x = tensor(&x, [batch, tokens, width], &device);
        let found = layer_norm(x, tensor(&w, [width], &device), tensor(&b, [width], &device), 1e-5);
        let error = error(found, &expected);
        prop_assert!(error < 1e-4, "{error}");
    }
}

#[test]
fn more_rows_than_one_axis_of_workgroups_takes() {
    let Some(device) = device() else { return };
    let (tokens, width) = (70_000, 3);
    let x = numbers(tokens * width, 7);
    let (w, b) = (numbers(width, 8), numbers(width, 9));
    let expected = reference::norm(&x, &w, &b, Norm { length: width, groups: 1, area: 1, epsilon: 1e-5, silu: false });
    let x = tensor(&x, [1, tokens, width], &device);
    let found = layer_norm(x, tensor(&w, [width], &device), tensor(&b, [width], &device), 1e-5);
    assert!(error(found, &expected) < 1e-3);
}
