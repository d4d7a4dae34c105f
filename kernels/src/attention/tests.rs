use super::{attend, knows, reference};
use crate::testing::{self, device, numbers, tensor};
use burn::tensor::Device;
use proptest::prelude::*;
use reference::Sizes;

pub fn error(sizes: Sizes, mask: &[f32], device: &Device) -> f32 {
    let Sizes { batch, queries, keys, heads, depth } = sizes;
    let width = heads * depth;
    // Scores far apart, so that the highest moves from block to block.
    let q: Vec<f32> = numbers(batch * queries * width, 1).into_iter().map(|value| 4.0 * value).collect();
    let (k, v) = (numbers(batch * keys * width, 2), numbers(batch * keys * width, 3));
    let expected = reference::attend(&q, &k, &v, mask, sizes);
    let found = attend(
        tensor(&q, [batch, queries, width], device),
        tensor(&k, [batch, keys, width], device),
        tensor(&v, [batch, keys, width], device),
        heads,
        (!mask.is_empty()).then(|| tensor(mask, [queries, keys], device)),
    );
    testing::error(found, &expected)
}

/// What a language model's tokens may see: themselves and what came before.
pub fn causal(tokens: usize) -> Vec<f32> {
    (0..tokens * tokens).map(|at| if at % tokens > at / tokens { f32::NEG_INFINITY } else { 0.0 }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Tokens that fill no tile, heads of any width.
    #[test]
    fn it_equals_the_reference(
        batch in 1_usize..=4, queries in 1_usize..=150, keys in 1_usize..=80, heads in 1_usize..=3, depth in 1_usize..=48,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let sizes = Sizes { batch, queries, keys, heads, depth };
        let error = error(sizes, &[], &device);
        prop_assert!(error < 1e-5, "{sizes:?}: {error}");
    }

    #[test]
    fn with_a_mask_it_equals_the_reference(batch in 1_usize..=2, tokens in 1_usize..=77, heads in 1_usize..=3) {
        let Some(device) = device() else { return Ok(()) };
        let sizes = Sizes { batch, queries: tokens, keys: tokens, heads, depth: 8 };
        let error = error(sizes, &causal(tokens), &device);
        prop_assert!(error < 1e-5, "{sizes:?}: {error}");
    }
}

#[test]
fn a_wide_head_with_a_mask_equals_the_reference() {
    let Some(device) = device() else { return };
    let sizes = Sizes { batch: 2, queries: 45, keys: 45, heads: 2, depth: 200 };
    let error = error(sizes, &causal(45), &device);
    assert!(error < 1e-5, "{error}");
}

#[test]
fn the_heads_of_the_models_equal_the_reference() {
    let Some(device) = device() else { return };
    for depth in [40, 64, 80, 160, 163, 164, 320, 512, 1024] {
        let sizes = Sizes { batch: 2, queries: 70, keys: 77, heads: 2, depth };
        let error = error(sizes, &[], &device);
        assert!(error < 1e-5, "{depth}: {error}");
    }
    assert!(!knows(1025) && !knows(0));
}
