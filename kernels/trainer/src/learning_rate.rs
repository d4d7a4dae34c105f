//! Warm-up, then a cosine to nearly nothing (Loshchilov and Hutter, 2016).

/// The learning rate over a run.
#[derive(Debug, Clone, Copy)]
pub struct LearningRate {
    /// The highest rate.
    pub peak: f64,
    /// Steps over which it rises.
    pub warm_up: u64,
}

impl LearningRate {
    /// The rate at a step; `done` is the share of the run that is over, 0 to 1.
    pub fn at(self, step: u64, done: f64) -> f64 {
        let rise = ((step + 1) as f64 / self.warm_up.max(1) as f64).min(1.0);
        let fall = 0.5 * (1.0 + (std::f64::consts::PI * done.clamp(0.0, 1.0)).cos());
        self.peak * rise * fall.max(0.01)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_a_hundredth() {
        let rate = LearningRate { peak: 1e-3, warm_up: 10 };
        assert!((rate.at(0, 0.0) - 1e-4).abs() < 1e-12);
        assert!((rate.at(9, 0.0) - 1e-3).abs() < 1e-12);
        assert!((rate.at(500, 0.5) - 5e-4).abs() < 1e-12);
        assert!((rate.at(1000, 1.0) - 1e-5).abs() < 1e-12);
    }
}
