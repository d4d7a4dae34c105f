//! A linear multistep method: the derivative's polynomial through the last levels, integrated to the next.

use super::{
    Level,
    plan::{Plan, Solve, Step},
    spacing::{Rounding, Setup},
};
use burn::tensor::Tensor;
use std::collections::VecDeque;

const ORDER: usize = 4;

#[derive(Debug)]
struct Lms {
    /// Of the last evaluations, the newest first.
    derivatives: VecDeque<Tensor<4>>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let mut spaced = setup.exploding(Rounding::Never);
    spaced.sigmas.push(0.0);
    Plan::exploding(setup, spaced.timesteps, spaced.sigmas, Box::new(Lms { derivatives: VecDeque::new() }))
}

/// What each of the last `order` derivatives counts in the step after level `index`.
///
/// Two of Gauss' points integrate a polynomial of third degree exactly.
fn coefficients(levels: &[Level], index: usize, order: usize) -> Vec<f64> {
    let sigma = |back: usize| levels[index - back].sigma;
    let (from, to) = (sigma(0), levels[index + 1].sigma);
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    let points = [middle - half / 3f64.sqrt(), middle + half / 3f64.sqrt()];
    let weight = |current: usize, at: f64| -> f64 {
        let others = (0..order).filter(|other| *other != current);
        others.map(|other| (at - sigma(other)) / (sigma(current) - sigma(other))).product()
    };
    (0..order).map(|current| half * points.iter().map(|&at| weight(current, at)).sum::<f64>()).collect()
}

impl Solve for Lms {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, sample, original, .. } = step;
        self.derivatives.push_front((sample.clone() - original) / levels[index].sigma);
        self.derivatives.truncate(ORDER);
        // A run that starts in the middle knows no derivatives before; equal levels leave no polynomial through both.
        let distinct = (0..self.derivatives.len() - 1)
            .take_while(|back| levels[index - back - 1].sigma > levels[index - back].sigma)
            .count();
        let coefficients = coefficients(levels, index, distinct + 1);
        self.derivatives
            .iter()
            .zip(coefficients)
            .fold(sample, |sample, (derivative, share)| sample + derivative.clone() * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_steps_have_the_coefficients_of_adams_and_bashforth() {
        let levels: Vec<Level> = (0..6).rev().map(|sigma| Level::exploding(f64::from(sigma))).collect();
        let expected = [-55.0 / 24.0, 59.0 / 24.0, -37.0 / 24.0, 9.0 / 24.0];
        for (found, expected) in coefficients(&levels, 4, 4).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    }
}
