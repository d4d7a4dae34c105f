//! What a run tells of itself, and when it is asked to end.

use super::{CancelToken, GenerateError, Observer, started::Started};
use crate::picture::Picture;
use burn::tensor::{ExecutionError, Tensor, TensorData};
use spec::{Phase, Progress};
use std::pin::Pin;
use web_time::Instant;

/// Pictures on their way from the device.
pub(super) type Pictures<'a> = Pin<Box<dyn Future<Output = Result<Vec<Picture>, ExecutionError>> + 'a>>;

/// A step that is on the device's queue.
pub(super) struct Step<'a> {
    /// Counted from 1.
    number: u32,
    /// Resolves when it is computed.
    done: Started<'a, Result<TensorData, ExecutionError>>,
    /// What the pictures look like after it, where that is wanted.
    preview: Option<Started<'a, Result<Vec<Picture>, ExecutionError>>>,
}

impl<'a> Step<'a> {
    pub(super) async fn queue(number: u32, latents: &Tensor<4>, preview: Option<Pictures<'a>>) -> Self {
        // Reading one value back waits for the device, so that a step's time is its own and a cancel is seen.
        let value = latents.clone().slice([0..1, 0..1, 0..1, 0..1]);
        let done = Started::new(Box::pin(value.into_data_async())).await;
        let preview = match preview {
            Some(preview) => Some(Started::new(preview).await),
            None => None,
        };
        Self { number, done, preview }
    }
}

/// The observer's side of a run.
pub(super) struct Run<'a, O> {
    observer: &'a mut O,
    cancel: &'a CancelToken,
    phase: Phase,
    of: u32,
    started: Instant,
    /// A step that the device works on.
    queued: Option<Step<'a>>,
}

impl<'a, O: Observer> Run<'a, O> {
    /// A run of which nothing was told yet.
    pub(super) fn new(observer: &'a mut O, cancel: &'a CancelToken) -> Self {
        Self { observer, cancel, phase: Phase::Text, of: 1, started: Instant::now(), queued: None }
    }

    /// Whether the pictures after a step are wanted; the last step's are the finished ones.
    pub(super) fn wants_preview(&self, step: u32) -> bool {
        step < self.of && self.observer.wants_preview(step, self.of)
    }

    pub(super) async fn begin(&mut self, phase: Phase, of: u32) -> Result<(), GenerateError> {
        self.phase = phase;
        self.of = of;
        self.started = Instant::now();
        self.step(0).await
    }

    /// Reports a step: at once, or from a device with a queue, which works on it meanwhile, when the next one is there.
    pub(super) async fn report(&mut self, step: Step<'a>, is_queued: bool) -> Result<(), GenerateError> {
        let over = if is_queued { self.queued.replace(step) } else { Some(step) };
        match over {
            Some(step) => self.finish(step).await,
            None => Ok(()),
        }
    }

    /// Reports the last step of all.
    pub(super) async fn finish_queued(&mut self) -> Result<(), GenerateError> {
        match self.queued.take() {
            Some(last) => self.finish(last).await,
            None => Ok(()),
        }
    }

    /// Waits for a step and reports it.
    async fn finish(&mut self, step: Step<'_>) -> Result<(), GenerateError> {
        step.done.finish().await?;
        if let Some(preview) = step.preview {
            for (index, picture) in (0..).zip(preview.finish().await?) {
                self.observer.preview(index, picture);
            }
        }
        self.step(step.number).await
    }

    pub(super) async fn step(&mut self, step: u32) -> Result<(), GenerateError> {
        let seconds_per_step = (step > 0).then(|| self.started.elapsed().as_secs_f64() / f64::from(step));
        self.observer.progress(Progress {
            phase: self.phase,
            step,
            of: self.of,
            seconds_per_step,
            eta_seconds: seconds_per_step.map(|seconds| seconds * f64::from(self.of - step)),
        });
        self.observer.pause().await;
        if self.cancel.is_cancelled() { Err(GenerateError::Cancelled) } else { Ok(()) }
    }
}
