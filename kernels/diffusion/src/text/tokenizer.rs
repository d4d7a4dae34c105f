//! CLIP's byte-pair tokenizer (Sennrich et al., 2016), reading `vocab.json` and `merges.txt` as transformers writes them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::Range,
};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// A tokenizer file that cannot be used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// `vocab.json` is not a table from token to id.
    #[error("vocab.json is not a JSON object from token to id")]
    Vocabulary(#[source] serde_json::Error),
    /// A line of `merges.txt` is not two tokens.
    #[error("line {line} of merges.txt is not two tokens separated by a space: `{text}`")]
    Merge {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A token that every CLIP vocabulary has is missing.
    #[error("the vocabulary lacks `{0}`")]
    Special(String),
}

/// Longest prompt that is looked at, in characters; what follows could never fit into the context.
const MAX_CHARS: usize = 10_000;
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Turns text into ids of a fixed context length.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    vocab: HashMap<String, u32>,
    ranks: HashMap<(String, String), u32>,
    bytes: [char; 256],
    start: u32,
    end: u32,
    pad: u32,
    /// Tokens that are cut out of a text before anything else; the padding is one of them.
    special: Vec<(String, Vec<u32>)>,
}

/// A text as ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// One after the other, without start, end and padding.
    pub ids: Vec<u32>,
    /// Those that must stay together: added words of several ids, in the order of the text.
    pub joined: Vec<Range<usize>>,
}

impl Tokenizer {
    /// Reads the two files; `pad_token` is the token that fills the context (`<|endoftext|>`, or `!` for SD 2.x).
    ///
    /// # Errors
    /// [`TokenizerError`] naming the file and the line.
    pub fn new(vocab_json: &str, merges: &str, pad_token: &str) -> Result<Self, TokenizerError> {
        let vocab: HashMap<String, u32> = serde_json::from_str(vocab_json).map_err(TokenizerError::Vocabulary)?;
        let mut ranks = HashMap::new();
        for (index, line) in merges.lines().enumerate() {
            if line.is_empty() || (index == 0 && line.starts_with("#version")) {
                continue;
            }
            let mut parts = line.split(' ');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(left), Some(right), None) if !left.is_empty() && !right.is_empty() => {
                    let rank = ranks.len() as u32;
                    ranks.entry((left.to_owned(), right.to_owned())).or_insert(rank);
                }
                _ => return Err(TokenizerError::Merge { line: index + 1, text: line.to_owned() }),
            }
        }
        let special = |token: &str| vocab.get(token).copied().ok_or_else(|| TokenizerError::Special(token.to_owned()));
        let (start, end, pad) = (special(START)?, special(END)?, special(pad_token)?);
        let special =
            [(START, start), (END, end), (pad_token, pad)].map(|(token, id)| (token.to_owned(), vec![id])).into();
        Ok(Self { vocab, ranks, bytes: byte_characters(), start, end, pad, special })
    }

    /// Id of the token that ends a text.
    pub const fn end_id(&self) -> u32 {
        self.end
    }

    /// Number of ids.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// The id of a comma that ends a word.
    pub fn comma_id(&self) -> Option<u32> {
        self.vocab.get(",</w>").copied()
    }

    /// Adds a word that stands for these ids wherever it appears in a text, as textual inversion does.
    pub fn add_token(&mut self, word: &str, ids: Vec<u32>) {
        self.special.push((word.to_owned(), ids));
    }

    /// Ids of a text without start, end and padding.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        let text = text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end]);
        self.tokens(text).ids
    }

    /// Ids of a text of any length.
    pub fn tokens(&self, text: &str) -> Tokens {
        let Tokens { mut ids, mut joined } = Tokens::default();
        let (mut from, mut at) = (0, 0);
        while let Some(next) = text[at..].chars().next() {
            let found = self.special.iter().find(|(token, _)| !token.is_empty() && text[at..].starts_with(token));
            if let Some((token, added)) = found {
                self.plain_ids(&text[from..at], &mut ids);
                if added.len() > 1 {
                    joined.push(ids.len()..ids.len() + added.len());
                }
                ids.extend(added);
                at += token.len();
                from = at;
            } else {
                at += next.len_utf8();
            }
        }
        self.plain_ids(&text[from..], &mut ids);
        Tokens { ids, joined }
    }

    fn plain_ids(&self, text: &str, ids: &mut Vec<u32>) {
        for word in split_words(&normalise(text)) {
            match word.as_str() {
                START => ids.push(self.start),
                END => ids.push(self.end),
                _ => self.merge_word(&word, ids),
            }
        }
    }

    /// Start, the ids of a text cut to fit, end, padding: exactly `length` ids.
    pub fn encode(&self, text: &str, length: usize) -> Vec<u32> {
        self.framed(self.ids(text).into_iter(), length)
    }

    /// Start, as many of the ids as fit, end, padding: exactly `length` ids.
    pub fn framed(&self, ids: impl Iterator<Item = u32>, length: usize) -> Vec<u32> {
        let mut framed = vec![self.start];
        framed.extend(ids.take(length.saturating_sub(2)));
        framed.push(self.end);
        framed.resize(length, self.pad);
        framed
    }

    /// Merges the lowest-ranked neighbours first, over a linked list, so that a long word costs n log n and not n².
    fn merge_word(&self, word: &str, ids: &mut Vec<u32>) {
        let mut pieces: Vec<String> = word.bytes().map(|byte| self.bytes[byte as usize].to_string()).collect();
        if let Some(last) = pieces.last_mut() {
            last.push_str("</w>");
        }
        let count = pieces.len();
        let mut next: Vec<usize> = (1..=count).collect();
        let mut previous: Vec<Option<usize>> = (0..count).map(|i| i.checked_sub(1)).collect();
        let mut alive = vec![true; count];
        let mut queue = BinaryHeap::new();
        let rank = |pieces: &[String], left: usize, right: usize| {
            self.ranks.get(&(pieces[left].clone(), pieces[right].clone())).copied()
        };
        for left in 0..count.saturating_sub(1) {
            if let Some(rank) = rank(&pieces, left, left + 1) {
                queue.push(Reverse((rank, left, left + 1)));
            }
        }
        while let Some(Reverse((queued, left, right))) = queue.pop() {
            let current = alive[left] && next[left] == right && right < count && alive[right];
            if !current || rank(&pieces, left, right) != Some(queued) {
                continue;
            }
            let tail = std::mem::take(&mut pieces[right]);
            pieces[left].push_str(&tail);
            alive[right] = false;
            next[left] = next[right];
            if next[left] < count {
                previous[next[left]] = Some(left);
                if let Some(rank) = rank(&pieces, left, next[left]) {
                    queue.push(Reverse((rank, left, next[left])));
                }
            }
            if let Some(before) = previous[left]
                && let Some(rank) = rank(&pieces, before, left)
            {
                queue.push(Reverse((rank, before, left)));
            }
        }
        let unknown = self.end;
        ids.extend(
            pieces
                .iter()
                .zip(alive)
                .filter(|(_, alive)| *alive)
                .map(|(piece, _)| self.vocab.get(piece.as_str()).copied().unwrap_or(unknown)),
        );
    }
}

/// Lower case, NFC, runs of white space as one space, as transformers' `CLIPTokenizer` does it.
fn normalise(text: &str) -> String {
    let text: String = text.nfc().collect();
    let text = text.to_lowercase();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_letter(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Letter
}

fn is_number(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Number
}

/// The reference's pattern: special tokens, contractions, runs of letters, single digits, runs of anything else.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let fixed = [START, END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
        let length = if let Some(word) = fixed.iter().find(|word| rest.starts_with(**word)) {
            word.len()
        } else if is_letter(first) {
            rest.find(|c| !is_letter(c)).unwrap_or(rest.len())
        } else if is_number(first) {
            first.len_utf8()
        } else {
            rest.find(|c: char| c.is_whitespace() || is_letter(c) || is_number(c)).unwrap_or(rest.len())
        };
        words.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    words
}

/// GPT-2's printable stand-in for every byte.
fn byte_characters() -> [char; 256] {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut table = ['\0'; 256];
    let mut shifted = 0x100;
    for byte in 0..=255u8 {
        table[byte as usize] = if printable(byte) {
            char::from(byte)
        } else {
            shifted += 1;
            char::from_u32(shifted - 1).unwrap_or('\u{FFFD}')
        };
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Tokenizer {
        let bytes = byte_characters();
        let mut tokens: Vec<String> = bytes.iter().map(char::to_string).collect();
        tokens.extend(bytes.iter().map(|c| format!("{c}</w>")));
        tokens.extend(["re", "red</w>", "ca", "cat</w>"].map(str::to_owned));
        tokens.extend([START, END].map(str::to_owned));
        let vocab: HashMap<_, _> = tokens.into_iter().zip(0u32..).collect();
        let vocab = serde_json::to_string(&vocab).unwrap();
        Tokenizer::new(&vocab, "#version: 0.2\nr e\nre d</w>\nc a\nca t</w>\n", END).unwrap()
    }

    #[test]
    fn merges_apply_in_rank_order_and_the_rest_stays_bytes() {
        let tokenizer = tiny();
        assert_eq!(tokenizer.ids("Red  cat"), [513, 515]);
        assert_eq!(tokenizer.ids("cats").len(), 3);
        assert_eq!(tokenizer.encode("red", 5), [516, 513, 517, 517, 517]);
        assert_eq!(tokenizer.encode("red red red red", 4), [516, 513, 513, 517]);
    }

    #[test]
    fn the_padding_is_cut_out_of_a_text() {
        let Tokenizer { vocab, .. } = tiny();
        let vocab = serde_json::to_string(&vocab).unwrap();
        let tokenizer = Tokenizer::new(&vocab, "#version: 0.2\nr e\nre d</w>\n", "!").unwrap();
        let pad = tokenizer.vocab["!"];
        assert_eq!(tokenizer.ids("red!!"), [513, pad, pad]);
        assert_ne!(tiny().ids("red!!"), [513, pad, pad]);
    }

    #[test]
    fn a_very_long_word_ends_soon() {
        assert_eq!(tiny().ids(&"re".repeat(500_000)).len(), MAX_CHARS / 2 + 1);
    }

    #[test]
    fn words_split_like_the_reference() {
        assert_eq!(
            split_words("don't it's 3.14,(test)"),
            ["don", "'t", "it", "'s", "3", ".", "1", "4", ",(", "test", ")"]
        );
    }

    #[test]
    fn broken_files_are_named() {
        let error = Tokenizer::new("[]", "", END).unwrap_err().to_string();
        assert!(error.contains("vocab.json"), "{error}");
        let error = Tokenizer::new("{}", "#version\na b c\n", END).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
