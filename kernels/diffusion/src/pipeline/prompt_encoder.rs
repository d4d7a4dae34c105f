//! Prompts into what conditions a picture, each once.

use crate::text::{EncodedText, TextEncoders, Tokenizer};
use burn::tensor::Device;
use std::{collections::VecDeque, sync::Mutex};

/// Texts that are remembered.
const REMEMBERED: usize = 16;

/// A text with what it came to.
#[derive(Debug)]
struct Encoded {
    text: String,
    clip_skip: usize,
    states: EncodedText,
}

/// Tokenizers and text encoders, which remember the last texts: another seed asks for the same prompt.
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

    /// Hidden states of the `clip_skip`th layer from the end, counted from 1, and the pooled texts where the model takes them.
    ///
    /// # Panics
    ///
    /// When there are no texts.
    pub fn encode(&self, texts: &[String], clip_skip: usize) -> EncodedText {
        let mut remembered = self.remembered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_known = |remembered: &VecDeque<Encoded>, text: &String| {
            remembered.iter().any(|encoded| encoded.text == *text && encoded.clip_skip == clip_skip)
        };
        let mut unknown: Vec<&String> = texts.iter().filter(|text| !is_known(&remembered, text)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let asked: Vec<&str> = unknown.iter().map(|text| text.as_str()).collect();
            let encoded = self.encoders.encode(&asked, clip_skip, &self.device);
            remembered.extend(unknown.into_iter().enumerate().map(|(row, text)| Encoded {
                text: text.clone(),
                clip_skip,
                states: encoded.row(row),
            }));
        }
        let rows = texts.iter().filter_map(|text| {
            let known = remembered.iter().find(|known| known.text == *text && known.clip_skip == clip_skip);
            known.map(|known| known.states.clone())
        });
        let encoded = EncodedText::cat(rows.collect());
        let surplus = remembered.len().saturating_sub(REMEMBERED);
        remembered.drain(..surplus);
        encoded
    }
}
