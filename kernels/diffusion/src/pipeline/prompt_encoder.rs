//! Prompts into what conditions a picture, each once.

use crate::text::{ClipTextModel, Tokenizer};
use burn::tensor::{Device, Tensor};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// Texts that are remembered.
const REMEMBERED: usize = 16;

/// A text with its hidden states.
#[derive(Debug)]
struct Encoded {
    text: String,
    clip_skip: usize,
    states: Tensor<3>,
}

/// Tokenizer and text encoder, which remember the last texts: another seed asks for the same prompt.
#[derive(Debug)]
pub struct PromptEncoder {
    tokenizer: Arc<Tokenizer>,
    model: ClipTextModel,
    device: Device,
    remembered: Mutex<VecDeque<Encoded>>,
}

impl PromptEncoder {
    pub(super) fn new(tokenizer: Arc<Tokenizer>, model: ClipTextModel, device: &Device) -> Self {
        Self { tokenizer, model, device: device.clone(), remembered: Mutex::default() }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Hidden states of the `clip_skip`th layer from the end, counted from 1.
    ///
    /// # Shapes
    ///
    /// - output: `[texts, tokens, width]`
    ///
    /// # Panics
    ///
    /// When there are no texts.
    pub fn encode(&self, texts: &[String], clip_skip: usize) -> Tensor<3> {
        let mut remembered = self.remembered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_known = |remembered: &VecDeque<Encoded>, text: &String| {
            remembered.iter().any(|encoded| encoded.text == *text && encoded.clip_skip == clip_skip)
        };
        let mut unknown: Vec<&String> = texts.iter().filter(|text| !is_known(&remembered, text)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let length = self.model.context_length().min(77);
            let ids: Vec<_> = unknown.iter().map(|text| self.tokenizer.encode(text, length)).collect();
            let states = self.model.forward(&ids, clip_skip, &self.device).hidden;
            remembered.extend(unknown.into_iter().enumerate().map(|(row, text)| Encoded {
                text: text.clone(),
                clip_skip,
                states: states.clone().narrow(0, row, 1),
            }));
        }
        let states = texts.iter().filter_map(|text| {
            let encoded = remembered.iter().find(|encoded| encoded.text == *text && encoded.clip_skip == clip_skip);
            encoded.map(|encoded| encoded.states.clone())
        });
        let states = Tensor::cat(states.collect(), 0);
        let surplus = remembered.len().saturating_sub(REMEMBERED);
        remembered.drain(..surplus);
        states
    }
}
