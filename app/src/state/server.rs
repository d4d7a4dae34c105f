//! What the page knows of the edge behind it.

use client::{Estimate, Model};
use reactive_stores::Store;

/// The edge that the page came from, if it came from one.
#[derive(Debug, Default, Store)]
pub struct Server {
    /// It answers.
    pub is_reachable: bool,
    /// The models that its nodes have.
    pub models: Vec<Model>,
    /// What the form's next run would cost there; `None` while that is asked.
    pub quote: Option<Quote>,
}

/// What a run on the server would cost.
#[derive(Debug, Clone, PartialEq)]
pub enum Quote {
    /// This.
    Offer(Estimate),
    /// The server does not do it, and why.
    Refusal(String),
}
