//! The one text encoder of a model, or the two of Stable Diffusion XL as one.

use super::{Chunk, ClipTextModel, Tokenizer, chunks};
use crate::prompt::Piece;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// A mean below this cannot be restored.
const TINY: f64 = 1e-12;

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

    /// The tokens of one text behind each other; the first part's pooled text is the whole's.
    #[must_use]
    pub fn join(parts: Vec<Self>) -> Self {
        let pooled = parts.first().and_then(|part| part.pooled.clone());
        Self { states: Tensor::cat(parts.into_iter().map(|part| part.states).collect(), 1), pooled }
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

    /// The one chunk of a plain text, cut off where it is full.
    pub fn plain(&self, text: &str) -> Vec<Row> {
        let of = |encoder: &TextEncoder| Chunk::plain(&encoder.tokenizer, text, self.context_length());
        vec![Row { first: of(&self.first), second: self.second.as_ref().map(of) }]
    }

    /// The chunks of a prompt, each cut by its own encoder's tokenizer.
    pub fn cut(&self, pieces: &[Piece]) -> Vec<Row> {
        let of = |encoder: &TextEncoder| chunks(&encoder.tokenizer, pieces, self.context_length());
        let (first, second) = (of(&self.first), self.second.as_ref().map(of));
        let count = second.as_ref().map_or(0, Vec::len).max(first.len());
        let row = |index: usize| Row {
            first: first.get(index).cloned().unwrap_or_default(),
            second: second.as_ref().map(|second| second.get(index).cloned().unwrap_or_default()),
        };
        (0..count).map(row).collect()
    }

    /// A chunk without words.
    pub fn empty(&self) -> Row {
        Row { first: Chunk::default(), second: self.second.is_some().then(Chunk::default) }
    }

    /// Encodes rows of one context each and weighs their states; `clip_skip` as in [`ClipTextModel::forward`].
    pub fn encode(&self, rows: &[&Row], clip_skip: usize, device: &Device) -> EncodedText {
        let length = self.context_length();
        let first: Vec<_> = rows.iter().map(|row| &row.first).collect();
        let ids = |encoder: &TextEncoder, chunks: &[&Chunk]| -> Vec<_> {
            chunks.iter().map(|chunk| encoder.tokenizer.framed(chunk.ids.iter().copied(), length)).collect()
        };
        let ids_first = ids(&self.first, &first);
        let Some(encoder) = &self.second else {
            let hidden = self.first.model.forward(&ids_first, clip_skip, device).hidden;
            return EncodedText { states: weighed(hidden, &first), pooled: None };
        };
        let second: Vec<_> = rows.iter().map(|row| row.second.as_ref().unwrap_or(&row.first)).collect();
        let one = self.first.model.forward_penultimate(&ids_first, clip_skip, device);
        let two = encoder.model.forward_penultimate(&ids(encoder, &second), clip_skip, device);
        let states = vec![weighed(one.hidden, &first), weighed(two.hidden, &second)];
        EncodedText { states: Tensor::cat(states, 2), pooled: Some(two.pooled) }
    }
}

/// What every encoder reads at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// For the first encoder.
    pub first: Chunk,
    /// For the second, where there is one.
    pub second: Option<Chunk>,
}

/// Multiplies states by their weights, and all of a row so that its mean is what it was.
///
/// # Shapes
///
/// - output, states: `[chunks, tokens, width]`
fn weighed(states: Tensor<3>, chunks: &[&Chunk]) -> Tensor<3> {
    if chunks.iter().all(|chunk| chunk.is_plain()) {
        return states;
    }
    let row = |(row, chunk): (usize, &&Chunk)| weighed_row(states.clone().narrow(0, row, 1), chunk);
    Tensor::cat(chunks.iter().enumerate().map(row).collect(), 0)
}

fn weighed_row(states: Tensor<3>, chunk: &Chunk) -> Tensor<3> {
    if chunk.is_plain() {
        return states;
    }
    let [_, tokens, _] = states.dims();
    let mut weights = vec![1.0];
    weights.extend(&chunk.weights);
    weights.resize(tokens, 1.0);
    let weights = Tensor::<3>::from_data(TensorData::new(weights, [1, tokens, 1]), &states.device());
    let weighed = states.clone() * weights;
    let (before, after) = (states.mean(), weighed.clone().mean());
    let has_none = after.clone().abs().lower_elem(TINY);
    let share = (before / after).mask_fill(has_none, 1.0);
    weighed * share.unsqueeze_dims(&[1, 2])
}
