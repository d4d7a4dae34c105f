//! What a denoiser knows of the prompt.

use burn::{module::ParamId, tensor::Tensor};
use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
};

type Pair = (Tensor<3>, Tensor<3>);

/// A prompt's hidden states, and the keys and values that the layers have made of them: every step of a run asks for the same.
#[derive(Debug)]
pub struct Context {
    states: Tensor<3>,
    made: RefCell<HashMap<ParamId, Pair>>,
    conditional: OnceCell<Box<Self>>,
}

impl Context {
    /// # Shapes
    ///
    /// - states: `[batch, tokens, cross_attention_dim]`
    pub fn new(states: Tensor<3>) -> Self {
        Self { states, made: RefCell::default(), conditional: OnceCell::new() }
    }

    /// The second half of the batch, which under guidance is the conditional one; made once.
    pub fn conditional(&self) -> &Self {
        self.conditional.get_or_init(|| {
            let [batch, ..] = self.states.dims();
            Box::new(Self::new(self.states.clone().narrow(0, batch - batch / 2, batch / 2)))
        })
    }

    /// Keys and values of the layer whose parameter this is, made once.
    pub(super) fn keys_and_values(&self, layer: ParamId, make: impl FnOnce(&Tensor<3>) -> Pair) -> Pair {
        self.made.borrow_mut().entry(layer).or_insert_with(|| make(&self.states)).clone()
    }
}
