//! What a denoiser knows of the prompt.

use super::{AddedConditions, added::AddedEmbedding};
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
    unconditional: OnceCell<Box<Self>>,
    added: Option<AddedConditions>,
    added_made: OnceCell<Tensor<2>>,
}

impl Context {
    /// # Shapes
    ///
    /// - states: `[batch, tokens, cross_attention_dim]`
    pub fn new(states: Tensor<3>) -> Self {
        Self {
            states,
            made: RefCell::default(),
            conditional: OnceCell::new(),
            unconditional: OnceCell::new(),
            added: None,
            added_made: OnceCell::new(),
        }
    }

    /// With what Stable Diffusion XL is told besides, of as many pictures.
    #[must_use]
    pub fn with_added(self, added: Option<AddedConditions>) -> Self {
        Self { added, ..self }
    }

    /// What Stable Diffusion XL is told besides.
    pub const fn added_conditions(&self) -> Option<&AddedConditions> {
        self.added.as_ref()
    }

    /// The vector that is added to the timestep's, made once: for the denoiser alone, since each network has its own.
    pub(super) fn added(&self, embedding: &AddedEmbedding) -> Option<Tensor<2>> {
        let added = self.added.as_ref()?;
        Some(self.added_made.get_or_init(|| embedding.forward(added)).clone())
    }

    /// The second half of the batch, which under guidance is the conditional one; made once.
    pub fn conditional(&self) -> &Self {
        let [batch, ..] = self.states.dims();
        self.conditional.get_or_init(|| Box::new(self.part(batch - batch / 2, batch / 2)))
    }

    /// The first half of the batch, which under guidance is the unconditional one; made once.
    pub fn unconditional(&self) -> &Self {
        let [batch, ..] = self.states.dims();
        self.unconditional.get_or_init(|| Box::new(self.part(0, batch / 2)))
    }

    fn part(&self, first: usize, count: usize) -> Self {
        let added = self.added.as_ref().map(|added| added.narrow(first, count));
        Self::new(self.states.clone().narrow(0, first, count)).with_added(added)
    }

    /// Keys and values of the layer whose parameter this is, made once.
    pub(super) fn keys_and_values(&self, layer: ParamId, make: impl FnOnce(&Tensor<3>) -> Pair) -> Pair {
        self.made.borrow_mut().entry(layer).or_insert_with(|| make(&self.states)).clone()
    }
}
