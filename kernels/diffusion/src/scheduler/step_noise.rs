//! Where the noise of a run's steps comes from.

use super::{BrownianTree, Schedule, StepNoise};
use crate::noise::Noise;
use burn::tensor::{Device, Tensor, TensorData};

/// Draws what each step of a run asks for: fresh noise from the run's stream, or increments of one path for each picture.
#[derive(Debug)]
pub struct StepNoiseSampler {
    /// A run's lowest and highest noise level with a step between them.
    range: Option<(f64, f64)>,
    seeds: Vec<crate::noise::NoiseSeed>,
    /// Of each picture, once the first step has asked for one.
    paths: Vec<BrownianTree>,
}

impl StepNoiseSampler {
    /// For one run; paths have the seeds of the noise, as one who runs the reference gives it its generator's seed.
    pub fn new(schedule: &Schedule, noise: &Noise) -> Self {
        let levels = schedule.sigmas().iter().copied().filter(|sigma| *sigma > 0.0);
        let range = levels.fold(None, |range: Option<(f64, f64)>, sigma| {
            range.map_or(Some((sigma, sigma)), |(low, high)| Some((low.min(sigma), high.max(sigma))))
        });
        Self { range, seeds: noise.seeds(), paths: Vec::new() }
    }

    /// The noise of the step after evaluation `index`, where it wants any.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, channels, height, width]`
    pub fn draw(
        &mut self,
        schedule: &Schedule,
        index: usize,
        noise: &mut Noise,
        shape: [usize; 3],
        device: &Device,
    ) -> Option<Tensor<4>> {
        match schedule.noise(index) {
            StepNoise::None => None,
            StepNoise::Unit => Some(noise.draw(shape, device)),
            StepNoise::Path { from, to } => {
                let [channels, height, width] = shape;
                let count = channels * height * width;
                let (low, high) = self.range?;
                if self.paths.is_empty() {
                    let path = |seed| BrownianTree::new(seed, low, high, count);
                    self.paths = self.seeds.iter().copied().map(path).collect();
                }
                let scale = ((to - from).abs().sqrt().recip()) as f32;
                let unit = |path: &BrownianTree| path.increment(from, to).into_iter().map(move |value| value * scale);
                let values: Vec<f32> = self.paths.iter().flat_map(unit).collect();
                Some(Tensor::from_data(TensorData::new(values, [self.paths.len(), channels, height, width]), device))
            }
        }
    }
}
