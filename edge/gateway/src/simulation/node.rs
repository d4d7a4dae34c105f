//! A node: it works, falls silent, dies, and comes back.

use crate::{clock::Millis, job::Epoch, ledger::JobNumber};

/// A job that a node has.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub account: usize,
    pub job: JobNumber,
    pub epoch: Epoch,
    /// When its pictures are made.
    pub done_at: Millis,
    /// Whether they are stored already, and only the news of it is to be taken.
    pub is_stored: bool,
    /// Whether this job breaks every node.
    pub is_poison: bool,
}

/// One node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Node {
    pub work: Option<Work>,
    /// Until when it does nothing: stopped, or on its way up.
    pub silent_until: Millis,
}
