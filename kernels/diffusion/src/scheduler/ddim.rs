//! Denoising diffusion implicit models (Song et al., 2020).

use super::{
    Level,
    plan::{Plan, Solve, Step, StepNoise},
    spacing::Setup,
};
use burn::tensor::Tensor;

/// Equation 12 of the paper.
#[derive(Debug)]
struct Ddim {
    /// The level that each step leads to: a stride of timesteps on, which need not be the next one.
    next: Vec<Level>,
    /// Standard deviation of the noise that each step draws.
    spreads: Vec<f64>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let Setup { config, table, steps, .. } = setup;
    let timesteps = setup.whole_timesteps();
    let last = if config.set_alpha_to_one.unwrap_or(true) { 1.0 } else { table.alpha_cumprod(0) };
    let stride = (config.num_train_timesteps / steps) as f64;
    let eta = config.eta.unwrap_or(0.0);
    let mut solver = Ddim { next: Vec::new(), spreads: Vec::new() };
    let mut levels: Vec<Level> = Vec::new();
    for &timestep in &timesteps {
        let now = table.alpha_cumprod(timestep as usize);
        let next = table.alpha_cumprod_before(timestep - stride, last);
        let variance = (1.0 - next) / (1.0 - now) * (1.0 - now / next);
        levels.push(Level::of_alpha_cumprod(now));
        solver.next.push(Level::of_alpha_cumprod(next));
        solver.spreads.push(eta * variance.max(0.0).sqrt());
    }
    levels.extend(solver.next.last().copied());
    // The reference's class clamps unless its file says no.
    Plan { clip: config.clip(true), ..Plan::simple(timesteps, levels, Box::new(solver)) }
}

impl Solve for Ddim {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let (next, spread) = (self.next[step.index], self.spreads[step.index]);
        let noise = step.level().noise(step.prediction, step.output, step.sample);
        let direction = (next.sigma * next.sigma - spread * spread).max(0.0).sqrt();
        Step::stir(step.original * next.alpha + noise * direction, step.noise, spread)
    }

    fn noise(&self, index: usize) -> StepNoise {
        if self.spreads[index] > 0.0 { StepNoise::Unit } else { StepNoise::None }
    }
}
