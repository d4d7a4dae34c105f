//! What changes a pass of the denoiser from within.

use super::{FreeU, TokenMerger, free_u::Stage, token_merging::Merge};
use burn::tensor::{Tensor, activation::softmax};
use std::cell::RefCell;

/// Changes from within; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tweaks<'a> {
    /// Features and skips that are weighed.
    pub free_u: Option<FreeU>,
    /// Tokens that are merged.
    pub merger: Option<&'a TokenMerger>,
    /// Who wants to know what attends to what.
    pub probe: Option<&'a AttentionProbe>,
    /// Height and width of the latents.
    pub(super) latents: [usize; 2],
}

impl<'a> Tweaks<'a> {
    /// All that there are.
    pub const fn new(
        free_u: Option<FreeU>,
        merger: Option<&'a TokenMerger>,
        probe: Option<&'a AttentionProbe>,
    ) -> Self {
        Self { free_u, merger, probe, latents: [0; 2] }
    }

    /// The same without a probe: only the middle of the network is asked.
    pub(super) const fn unasked(self) -> Self {
        Self { probe: None, ..self }
    }

    pub(super) fn stage(&self, up_block: usize) -> Option<Stage> {
        self.free_u.and_then(|free_u| free_u.stage(up_block))
    }

    /// How the tokens of a layer are merged, whose pixels are so many.
    pub(super) fn merge(&self, tokens: &Tensor<3>, size: [usize; 2]) -> Option<(Merge, &'a TokenMerger)> {
        let merger = self.merger?;
        Some((merger.merge(tokens, size, self.latents)?, merger))
    }
}

/// How much attention each pixel in the middle of the network receives, from all others together.
#[derive(Debug, Default)]
pub struct AttentionProbe(RefCell<Option<Tensor<3>>>);

impl AttentionProbe {
    /// Notes it for queries and keys of a layer; the mean over its heads.
    ///
    /// # Shapes
    ///
    /// - query, key: `[batch, tokens, heads * depth]`
    pub(super) fn note(&self, query: Tensor<3>, key: Tensor<3>, heads: usize, size: [usize; 2]) {
        let [batch, tokens, width] = query.dims();
        let depth = width / heads;
        let split = |input: Tensor<3>| input.reshape([batch, tokens, heads, depth]).swap_dims(1, 2);
        let scores = split(query).matmul(split(key).swap_dims(2, 3)) * (1.0 / (depth as f64).sqrt());
        let received = softmax(scores, 3).mean_dim(1).sum_dim(2);
        self.0.replace(Some(received.reshape([batch, size[0], size[1]])));
    }

    /// What was noted last, `[batch, height, width]`.
    pub fn take(&self) -> Option<Tensor<3>> {
        self.0.take()
    }
}
