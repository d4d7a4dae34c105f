//! Shaders compiled before there is anything to compute.

use cubecl::dry_run::DryRun;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Runs a pass whose kernels are compiled and not started, so that it needs no weights, no memory and hardly any time.
///
/// What the pass reads back is not defined. While it is polled no thread of the process starts a kernel: it is for programs that
/// compute on one.
pub fn rehearse<F: Future>(pass: F) -> impl Future<Output = F::Output> {
    Rehearsal(Box::pin(pass))
}

struct Rehearsal<F>(Pin<Box<F>>);

impl<F: Future> Future for Rehearsal<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Not for longer than a poll: what else the program computes while the pass waits is real.
        let _dry_run = DryRun::new();
        self.0.as_mut().poll(context)
    }
}
