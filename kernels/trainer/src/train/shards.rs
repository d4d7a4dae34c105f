//! A batch in parts, one for each core.
//!
//! Most operations of the CPU backend use one core, so two halves of a batch side by side keep two cores busy where one
//! whole batch does not. Every part has a copy of the model with a graph of its own, and the gradients are added up.

use crate::TrainError;
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Tensor},
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{ops::Range, thread};

/// The cores that share a batch.
pub struct Shards {
    pools: Vec<ThreadPool>,
    device: Device,
}

impl Shards {
    /// One part for each core on the CPU, one part elsewhere.
    ///
    /// # Errors
    /// [`TrainError::Threads`] when the system gives no thread.
    pub fn new(device: &Device, batch: usize) -> Result<Self, TrainError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = if *device == Device::flex() { cores.min(batch) } else { 1 };
        let pools = (0..count)
            .map(|_| ThreadPoolBuilder::new().num_threads(if count == 1 { cores } else { 1 }).build())
            .collect::<Result<_, _>>()
            .map_err(TrainError::Threads)?;
        Ok(Self { pools, device: device.clone().autodiff() })
    }

    /// Mean loss over a batch, and its gradients.
    ///
    /// Gradients are those of `factor` times the loss. `loss` gets a model and the places in the batch that it is for; it gives the mean over them, and what to report.
    pub fn gradients<M: Module + Sync>(
        &self,
        model: &M,
        batch: usize,
        factor: f64,
        loss: impl Fn(&M, Range<usize>) -> (Tensor<1>, Tensor<1>) + Sync,
    ) -> (f64, GradientsParams) {
        let (count, loss) = (self.pools.len(), &loss);
        let parts: Vec<(f64, GradientsParams)> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .pools
                .iter()
                .enumerate()
                .map(|(index, pool)| {
                    let places = index * batch / count..(index + 1) * batch / count;
                    scope.spawn(move || pool.install(|| self.part(model, places, batch, factor, loss)))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut sum = GradientsAccumulator::new();
        let mut value = 0.0;
        for (part, gradients) in parts {
            value += part;
            sum.accumulate(model, gradients);
        }
        (value, sum.grads())
    }

    fn part<M: Module>(
        &self,
        model: &M,
        places: Range<usize>,
        batch: usize,
        factor: f64,
        loss: impl Fn(&M, Range<usize>) -> (Tensor<1>, Tensor<1>),
    ) -> (f64, GradientsParams) {
        let share = places.len() as f64 / batch as f64;
        // A fork has leaves of its own; without, all parts would wait for one graph.
        let model = model.clone().fork(&self.device);
        let (loss, shown) = loss(&model, places);
        let shown: f32 = shown.into_scalar();
        let gradients = GradientsParams::from_grads((loss * (share * factor)).backward(), &model);
        (f64::from(shown) * share, gradients)
    }
}
