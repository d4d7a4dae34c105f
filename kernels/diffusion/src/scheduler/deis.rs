//! Diffusion exponential integrator: the noise's polynomial in the logarithm of its level (Zhang and Chen, 2022, tAB-DEIS).

use super::{
    Level,
    multistep::SHORT,
    plan::{Plan, Solve, Step},
    spacing::{Rounding, Setup, spread_flow},
};
use burn::tensor::Tensor;
use std::collections::VecDeque;

#[derive(Debug)]
struct Deis {
    order: usize,
    lower_order_final: bool,
    /// The last predicted noises, the newest first.
    noises: VecDeque<Tensor<4>>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let config = setup.config;
    let solver = Deis {
        order: config.solver_order.unwrap_or(2),
        lower_order_final: config.lower_order_final.unwrap_or(true),
        noises: VecDeque::new(),
    };
    let (timesteps, sigmas, levels) = if config.use_flow_sigmas {
        spread_flow(setup)
    } else {
        let mut spaced = setup.preserving(Rounding::Whole);
        // Its logarithm never reaches a finished sample.
        let smallest = setup.table.sigmas()[0];
        spaced.sigmas.push(smallest);
        let levels = spaced.sigmas.iter().copied().map(Level::of_ratio).collect();
        (spaced.timesteps, spaced.sigmas, levels)
    };
    Plan { sigmas, ..Plan::simple(timesteps, levels, Box::new(solver)) }
}

/// What each of the last noises counts in a step: its Lagrange polynomial in the logarithm, integrated over the level.
///
/// `∫ ln ρ dρ` and `∫ (ln ρ)² dρ` have closed forms.
fn coefficients(ratios: &[f64], to: f64) -> Vec<f64> {
    let from = ratios[0];
    let integrals = |at: f64| {
        let log = at.ln();
        [at, at * (log - 1.0), at * (log * log - 2.0 * log + 2.0)]
    };
    let (start, end) = (integrals(from), integrals(to));
    let moments = [end[0] - start[0], end[1] - start[1], end[2] - start[2]];
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    (0..logs.len())
        .map(|current| {
            let others: Vec<f64> = (0..logs.len()).filter(|other| *other != current).map(|other| logs[other]).collect();
            let scale: f64 = others.iter().map(|other| logs[current] - other).product();
            let integral = match others[..] {
                [] => moments[0],
                [b] => moments[1] - b * moments[0],
                [b, c, ..] => moments[2] - (b + c) * moments[1] + b * c * moments[0],
            };
            integral / scale
        })
        .collect()
}

impl Solve for Deis {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, sample, original, .. } = step;
        let (now, next) = (levels[index], levels[index + 1]);
        self.noises.push_front((sample.clone() - original * now.alpha) / now.sigma);
        self.noises.truncate(self.order);
        let left = levels.len() - 1 - index;
        let most = if self.lower_order_final && levels.len() - 1 < SHORT { left } else { self.order };
        let ratio = |back: usize| levels[index - back].sigma / levels[index - back].alpha;
        let known = self.noises.len().min(most);
        let distinct = (1..known).take_while(|&back| ratio(back) > ratio(back - 1)).count() + 1;
        let ratios: Vec<f64> = (0..distinct).map(ratio).collect();
        let coefficients = coefficients(&ratios, next.sigma / next.alpha);
        self.noises
            .iter()
            .zip(coefficients)
            .fold(sample * (next.alpha / now.alpha), |sum, (noise, share)| sum + noise.clone() * (next.alpha * share))
    }
}
