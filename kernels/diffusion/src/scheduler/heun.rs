//! Heun's method (Karras et al., 2022, algorithm 1 without added noise).

use super::{
    plan::{Plan, Solve, Step},
    spacing::{Rounding, Setup},
};
use burn::tensor::Tensor;

/// Where a step began: the sample, its derivative, and its noise level.
#[derive(Debug)]
struct Heun {
    begun: Option<(Tensor<4>, Tensor<4>, f64)>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let spaced = setup.exploding(Rounding::Never);
    let middle = |step: usize| (spaced.timesteps[step + 1], spaced.sigmas[step + 1]);
    let plan = Plan::paired(setup, &spaced, middle, Box::new(Heun { begun: None }));
    Plan { clip: setup.config.clip(false), ..plan }
}

impl Solve for Heun {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, sample, original, .. } = step;
        let (now, next) = (levels[index].sigma, levels[index + 1].sigma);
        let derivative = (sample.clone() - original) / now;
        if let Some((from, first, sigma)) = self.begun.take() {
            return from + (first + derivative) * (0.5 * (now - sigma));
        }
        let moved = sample.clone() + derivative.clone() * (next - now);
        if next > 0.0 {
            self.begun = Some((sample, derivative, now));
        }
        moved
    }
}
