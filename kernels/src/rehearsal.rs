//! Shaders compiled before there is anything to compute.

use cubecl::dry_run::DryRun;
use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

/// Tokens that only a time step has so few of, one a picture (and the deepest level of the smallest pictures, whose kernels others share).
const FEW: usize = 2;

thread_local! {
    static SHRUNK: Cell<usize> = const { Cell::new(1) };
}

/// Runs a pass whose kernels are compiled and not started, so that it needs no weights and hardly any time.
///
/// Its pictures' sides are `shrunk` times smaller than those that it stands for, since activations are allocated all the same (and
/// a browser frees a buffer when it collects garbage, not when it is dropped); our kernels are those for the real size.
///
/// What the pass reads back is not defined. While it is polled no thread of the process starts a kernel: it is for programs that
/// compute on one.
pub fn rehearse<F: Future>(shrunk: usize, pass: F) -> impl Future<Output = F::Output> {
    Rehearsal { shrunk, pass: Box::pin(pass) }
}

/// A picture's side as it is outside of a rehearsal.
pub(crate) fn real_side(side: usize) -> usize {
    side * SHRUNK.get()
}

/// How many tokens or pixels there are outside of a rehearsal.
pub(crate) fn real_tokens(tokens: usize) -> usize {
    if tokens > FEW { tokens * SHRUNK.get().pow(2) } else { tokens }
}

struct Rehearsal<F> {
    shrunk: usize,
    pass: Pin<Box<F>>,
}

impl<F: Future> Future for Rehearsal<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Not for longer than a poll: what else the program computes while the pass waits is real.
        let _dry_run = DryRun::new();
        let before = SHRUNK.replace(self.shrunk);
        let poll = self.pass.as_mut().poll(context);
        SHRUNK.set(before);
        poll
    }
}
