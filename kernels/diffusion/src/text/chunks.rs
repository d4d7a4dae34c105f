//! Prompts of any length, cut into what the text encoder reads at a time.

use super::{Tokenizer, tokenizer::Tokens};
use crate::prompt::Piece;

/// Tokens behind the last comma that go with it into the next chunk, at most.
const BACKTRACK: usize = 20;

/// As many tokens as the text encoder reads at a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunk {
    /// Tokens, which [`Tokenizer::framed`] puts between start and end.
    pub ids: Vec<u32>,
    /// What the hidden state of each is multiplied by.
    pub weights: Vec<f32>,
}

impl Chunk {
    /// The chunk of a plain text, cut off where `length` ids with start and end are full.
    pub fn plain(tokenizer: &Tokenizer, text: &str, length: usize) -> Self {
        let mut ids = tokenizer.ids(text);
        ids.truncate(length.saturating_sub(2));
        Self { weights: vec![1.0; ids.len()], ids }
    }

    /// Whether all states stay as they are.
    #[expect(clippy::float_cmp, reason = "only what was never weighed is exactly 1")]
    pub fn is_plain(&self) -> bool {
        self.weights.iter().all(|weight| *weight == 1.0)
    }
}

/// Cuts a prompt into chunks of at most `length` ids with start and end; there is at least one.
///
/// The rule is the web UI's: where a chunk is full, what stands behind its last comma goes into the next one, if that are at most 20
/// tokens; a [`Piece::Break`] fills the chunk up; the tokens of one added word stay together.
pub fn chunks(tokenizer: &Tokenizer, pieces: &[Piece], length: usize) -> Vec<Chunk> {
    let mut cutter = Cutter {
        comma: tokenizer.comma_id(),
        room: length.saturating_sub(2).max(1),
        chunk: Chunk::default(),
        last_comma: None,
        chunks: Vec::new(),
    };
    for piece in pieces {
        match piece {
            Piece::Break => cutter.finish(),
            Piece::Text { text, weight } => cutter.push_all(&tokenizer.tokens(text), *weight as f32),
        }
    }
    if !cutter.chunk.ids.is_empty() || cutter.chunks.is_empty() {
        cutter.finish();
    }
    cutter.chunks
}

struct Cutter {
    comma: Option<u32>,
    /// Tokens that fit between start and end.
    room: usize,
    chunk: Chunk,
    last_comma: Option<usize>,
    chunks: Vec<Chunk>,
}

impl Cutter {
    fn push_all(&mut self, tokens: &Tokens, weight: f32) {
        let mut joined = tokens.joined.iter().peekable();
        let mut at = 0;
        while let Some(&id) = tokens.ids.get(at) {
            self.make_room(id);
            let Some(range) = joined.next_if(|range| range.start == at) else {
                self.push(id, weight);
                at += 1;
                continue;
            };
            if self.chunk.ids.len() + range.len() > self.room && range.len() <= self.room {
                self.finish();
            }
            for &id in &tokens.ids[range.clone()] {
                if self.chunk.ids.len() == self.room {
                    self.finish();
                }
                self.push(id, weight);
            }
            at = range.end;
        }
    }

    fn push(&mut self, id: u32, weight: f32) {
        self.chunk.ids.push(id);
        self.chunk.weights.push(weight);
    }

    /// Ends the chunk where it is full.
    fn make_room(&mut self, next: u32) {
        let count = self.chunk.ids.len();
        if Some(next) == self.comma {
            self.last_comma = Some(count);
        } else if let Some(comma) = self.last_comma.filter(|comma| count == self.room && count - comma <= BACKTRACK) {
            let (ids, weights) = (self.chunk.ids.split_off(comma + 1), self.chunk.weights.split_off(comma + 1));
            self.finish();
            self.chunk = Chunk { ids, weights };
        }
        if self.chunk.ids.len() == self.room {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.last_comma = None;
        self.chunks.push(std::mem::take(&mut self.chunk));
    }
}
