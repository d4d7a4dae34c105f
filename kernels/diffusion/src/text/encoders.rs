//! The one text encoder of a model, or the two of Stable Diffusion XL as one.

use super::{ClipTextModel, Tokenizer};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// What conditions pictures, one row for each text.
#[derive(Debug, Clone)]
pub struct EncodedText {
    /// `[texts, tokens, width]`.
    pub states: Tensor<3>,
    /// `[texts, width]`, of models that take it.
    pub pooled: Option<Tensor<2>>,
}

impl EncodedText {
    /// Row `index` alone.
    #[must_use]
    pub fn row(&self, index: usize) -> Self {
        Self {
            states: self.states.clone().narrow(0, index, 1),
            pooled: self.pooled.clone().map(|pooled| pooled.narrow(0, index, 1)),
        }
    }

    /// All rows below each other.
    #[must_use]
    pub fn cat(rows: Vec<Self>) -> Self {
        let pooled: Option<Vec<_>> = rows.iter().map(|row| row.pooled.clone()).collect();
        Self {
            states: Tensor::cat(rows.into_iter().map(|row| row.states).collect(), 0),
            pooled: pooled.map(|pooled| Tensor::cat(pooled, 0)),
        }
    }

    /// Zeros in the place of those rows that `is_kept` leaves out.
    #[must_use]
    pub fn keeping(self, is_kept: &[bool]) -> Self {
        if is_kept.iter().all(|&kept| kept) {
            return self;
        }
        let share: Vec<f32> = is_kept.iter().map(|&kept| f32::from(u8::from(kept))).collect();
        let share = Tensor::<1>::from_floats(share.as_slice(), &self.states.device());
        Self {
            states: self.states * share.clone().unsqueeze_dims(&[1, 2]),
            pooled: self.pooled.map(|pooled| pooled * share.unsqueeze_dim(1)),
        }
    }
}

/// A text encoder with its tokenizer.
#[derive(Debug)]
pub struct TextEncoder {
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// Its network.
    pub model: ClipTextModel,
}

/// All text encoders of a model.
#[derive(Debug)]
pub struct TextEncoders {
    /// The first, whose tokenizer counts.
    pub first: TextEncoder,
    /// The second of Stable Diffusion XL, which gives the pooled text too.
    pub second: Option<TextEncoder>,
}

impl TextEncoders {
    /// Tokens of one context.
    pub fn context_length(&self) -> usize {
        self.first.model.context_length().min(77)
    }

    /// Encodes texts of one context each, cut to fit; `clip_skip` as in [`ClipTextModel::forward`].
    pub fn encode(&self, texts: &[&str], clip_skip: usize, device: &Device) -> EncodedText {
        let length = self.context_length();
        let ids = |encoder: &TextEncoder| -> Vec<_> {
            texts.iter().map(|text| encoder.tokenizer.encode(text, length)).collect()
        };
        let second = self.second.as_ref().map(ids);
        self.encode_ids(&ids(&self.first), second.as_deref(), clip_skip, device)
    }

    /// Encodes ids, each row as one encoder's tokenizer made them; the second's are those of the same texts.
    ///
    /// # Shapes
    ///
    /// - first, second: `texts` rows of `tokens` ids each
    pub fn encode_ids(
        &self,
        first: &[Vec<u32>],
        second: Option<&[Vec<u32>]>,
        clip_skip: usize,
        device: &Device,
    ) -> EncodedText {
        let Some(encoder) = &self.second else {
            return EncodedText { states: self.first.model.forward(first, clip_skip, device).hidden, pooled: None };
        };
        let one = self.first.model.forward_penultimate(first, clip_skip, device);
        let two = encoder.model.forward_penultimate(second.unwrap_or(first), clip_skip, device);
        EncodedText { states: Tensor::cat(vec![one.hidden, two.hidden], 2), pooled: Some(two.pooled) }
    }
}
