//! Futures that begin before they are waited for.

use std::{future::poll_fn, pin::Pin, task::Poll};

/// A future that was polled once: what it asks of a device is queued before anything that is asked later.
pub(super) enum Started<'a, T> {
    /// It was over at once.
    Over(T),
    /// It goes on.
    Going(Pin<Box<dyn Future<Output = T> + 'a>>),
}

impl<'a, T> Started<'a, T> {
    /// Begins a future.
    pub(super) async fn new(mut future: Pin<Box<dyn Future<Output = T> + 'a>>) -> Self {
        let first = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        match first {
            Poll::Ready(output) => Self::Over(output),
            Poll::Pending => Self::Going(future),
        }
    }

    /// Waits for its end.
    pub(super) async fn finish(self) -> T {
        match self {
            Self::Over(output) => output,
            Self::Going(future) => future.await,
        }
    }
}
