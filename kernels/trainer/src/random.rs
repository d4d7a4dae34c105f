//! Counter-based randomness: what a step draws depends on the seed and the step alone.

use diffusion::noise::Philox;

/// Draws of one step.
pub struct Random {
    philox: Philox,
}

impl Random {
    /// The draws of step `step`; `stream` keeps different uses apart.
    pub fn new(stream: u32, step: u64) -> Self {
        Self { philox: Philox::new(u64::from(stream) << 40 | step) }
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f32 {
        self.philox.uniform(1)[0]
    }

    /// A whole number in `0..below`.
    pub fn index(&mut self, below: usize) -> usize {
        ((f64::from(self.unit()) * below as f64) as usize).min(below - 1)
    }

    /// One of a list.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }

    /// Numbers of the standard normal distribution.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        self.philox.normal(count)
    }
}
