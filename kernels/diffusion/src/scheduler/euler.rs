//! Euler's method on the probability-flow equation (Karras et al., 2022), plain, ancestral and on straight paths.

use super::{
    Level,
    level::ancestral,
    plan::{Plan, Solve, Step, StepNoise},
    spacing::{Rounding, Setup, respace},
    table::linspace,
};
use burn::tensor::Tensor;

/// To the next level in a straight line.
#[derive(Debug)]
struct Euler;

/// Further than the next level, and back up by fresh noise.
#[derive(Debug)]
struct Ancestral;

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let mut spaced = setup.exploding(Rounding::Never);
    let last = if setup.config.ends_noisy() { setup.table.sigmas()[0] } else { 0.0 };
    spaced.sigmas.push(last);
    Plan::exploding(setup, spaced.timesteps, spaced.sigmas, Box::new(Euler))
}

pub(super) fn ancestral_plan(setup: &Setup<'_>) -> Plan {
    let mut spaced = setup.exploding(Rounding::Never);
    spaced.sigmas.push(0.0);
    Plan::exploding(setup, spaced.timesteps, spaced.sigmas, Box::new(Ancestral))
}

/// Esser et al. (2024), section 3.1 and, for the shift, equation 23.
pub(super) fn flow_plan(setup: &Setup<'_>) -> Plan {
    let Setup { kind, config, steps, .. } = setup;
    let trained = config.num_train_timesteps as f64;
    let shifted = |sigma: f64| config.shift * sigma / (1.0 + (config.shift - 1.0) * sigma);
    let (largest, smallest) = (shifted(1.0), shifted(trained.recip()));
    // The reference shifts its ends before it spreads them, and all of them again after.
    let sigmas: Vec<f64> = linspace(largest, smallest, *steps).into_iter().map(shifted).collect();
    let mut sigmas = respace(kind.spacing(), sigmas[0], sigmas[steps - 1], *steps).unwrap_or(sigmas);
    let timesteps = sigmas.iter().map(|sigma| sigma * trained).collect();
    sigmas.push(0.0);
    let levels = sigmas.iter().copied().map(Level::straight).collect();
    Plan { sigmas, ..Plan::simple(timesteps, levels, Box::new(Euler)) }
}

impl Solve for Euler {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        step.level().carry(step.sample, step.original, step.levels[step.index + 1])
    }
}

impl Solve for Ancestral {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let now = step.level();
        let (down, up) = ancestral(now.sigma, step.levels[step.index + 1].sigma);
        Step::stir(now.carry(step.sample, step.original, Level::exploding(down)), step.noise, up)
    }

    fn noise(&self, _: usize) -> StepNoise {
        StepNoise::Unit
    }
}
