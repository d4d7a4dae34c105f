//! Prompts into what conditions a picture, each once.

use crate::{
    prompt::{PromptError, pieces},
    text::{EncodedText, Row, TextEncoders, Tokenizer},
};
use burn::tensor::Device;
use std::{collections::VecDeque, sync::Mutex};

/// Chunks that are remembered.
const REMEMBERED: usize = 32;
/// Chunks that the text encoder reads at once, at most.
const AT_ONCE: usize = 16;
/// Chunks that a run may take, over all that its prompts say at any step; 75 tokens each.
const MOST: usize = 1024;

/// A text whose edits are over, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Text {
    /// What it says.
    pub(super) says: String,
    /// Which layer of the text encoder is taken, counted from the last.
    pub(super) clip_skip: usize,
    /// Whether nothing in it has a meaning of its own; then it is cut off where a chunk is full.
    pub(super) is_plain: bool,
    /// Whether it says what to keep away from.
    pub(super) is_negative: bool,
}

/// A chunk with what it came to.
#[derive(Debug)]
struct Encoded {
    chunk: Row,
    clip_skip: usize,
    states: EncodedText,
}

/// Tokenizers and text encoders, which remember the last chunks: another seed asks for the same prompt.
#[derive(Debug)]
pub struct PromptEncoder {
    encoders: TextEncoders,
    device: Device,
    remembered: Mutex<VecDeque<Encoded>>,
}

impl PromptEncoder {
    pub(super) fn new(encoders: TextEncoders, device: &Device) -> Self {
        Self { encoders, device: device.clone(), remembered: Mutex::default() }
    }

    /// The first tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.encoders.first.tokenizer
    }

    /// Hidden states of the `clip_skip`th layer from the end, counted from 1, of texts without edits; weights and breaks count.
    ///
    /// # Errors
    /// [`PromptError::Chunks`] for a text of thousands of tokens.
    ///
    /// # Panics
    ///
    /// When there are no texts.
    pub fn encode(&self, texts: &[String], clip_skip: usize) -> Result<EncodedText, PromptError> {
        let texts: Vec<_> = texts
            .iter()
            .map(|text| Text { says: text.clone(), clip_skip, is_plain: false, is_negative: false })
            .collect();
        Ok(EncodedText::cat(self.encode_texts(&texts)?))
    }

    /// Each text in a row of its own, all lengthened to the longest by empty chunks.
    ///
    /// # Errors
    /// [`PromptError::Chunks`] for thousands of tokens.
    pub(super) fn encode_texts(&self, texts: &[Text]) -> Result<Vec<EncodedText>, PromptError> {
        let cut = |Text { says, is_plain, .. }: &Text| {
            if *is_plain { self.encoders.plain(says) } else { self.encoders.cut(&pieces(says)) }
        };
        let mut cut: Vec<_> = texts.iter().map(cut).collect();
        let longest = cut.iter().map(Vec::len).max().unwrap_or(1);
        let found = longest * cut.len();
        if found > MOST {
            return Err(PromptError::Chunks { found, most: MOST });
        }
        for chunks in &mut cut {
            chunks.resize(longest, self.encoders.empty());
        }

        let mut remembered = self.remembered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.encode_unknown(&mut remembered, texts, &cut);
        let rows = texts.iter().zip(&cut).map(|(text, chunks)| {
            let parts = chunks.iter().filter_map(|chunk| find(&remembered, chunk, text.clip_skip).cloned());
            EncodedText::join(parts.collect())
        });
        let rows = rows.collect();
        let surplus = remembered.len().saturating_sub(REMEMBERED);
        remembered.drain(..surplus);
        Ok(rows)
    }

    /// Adds what is not remembered yet of the texts' chunks.
    fn encode_unknown(&self, remembered: &mut VecDeque<Encoded>, texts: &[Text], cut: &[Vec<Row>]) {
        let mut unknown: Vec<(usize, &Row)> = Vec::new();
        for (text, chunks) in texts.iter().zip(cut) {
            for chunk in chunks {
                let wanted = (text.clip_skip, chunk);
                if find(remembered, chunk, text.clip_skip).is_none() && !unknown.contains(&wanted) {
                    unknown.push(wanted);
                }
            }
        }
        // One layer at a time, and in one order whatever was asked first.
        unknown.sort_by(|(skip, chunk), (other_skip, other)| {
            (skip, &chunk.first.ids).cmp(&(other_skip, &other.first.ids))
        });
        for same in unknown.chunk_by(|(skip, _), (other, _)| skip == other) {
            for batch in same.chunks(AT_ONCE) {
                let clip_skip = batch[0].0;
                let chunks: Vec<_> = batch.iter().map(|(_, chunk)| *chunk).collect();
                let encoded = self.encoders.encode(&chunks, clip_skip, &self.device);
                remembered.extend(chunks.into_iter().enumerate().map(|(row, chunk)| Encoded {
                    chunk: chunk.clone(),
                    clip_skip,
                    states: encoded.row(row),
                }));
            }
        }
    }
}

fn find<'a>(remembered: &'a VecDeque<Encoded>, chunk: &Row, clip_skip: usize) -> Option<&'a EncodedText> {
    let known = remembered.iter().find(|known| known.clip_skip == clip_skip && known.chunk == *chunk);
    known.map(|known| &known.states)
}
