//! Denoising diffusion probabilistic models (Ho et al., 2020).

use super::{
    Level,
    plan::{Plan, Solve, Step, StepNoise},
    spacing::Setup,
};
use burn::tensor::Tensor;

/// The posterior of equation 7 of the paper.
#[derive(Debug)]
struct Ddpm {
    /// Each step's shares of the original, of the sample, and of fresh noise.
    steps: Vec<[f64; 3]>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let Setup { config, table, .. } = setup;
    let timesteps = setup.whole_timesteps();
    let is_large = config.variance_type.as_deref().is_some_and(|kind| kind.starts_with("fixed_large"));
    let mut alphas: Vec<f64> = timesteps.iter().map(|&timestep| table.alpha_cumprod(timestep as usize)).collect();
    alphas.push(1.0);
    let steps = timesteps.iter().zip(alphas.windows(2)).map(|(&timestep, pair)| {
        let (now, next) = (pair[0], pair[1]);
        let kept = now / next;
        let small = ((1.0 - next) / (1.0 - now) * (1.0 - kept)).max(1e-20);
        let variance = if is_large { 1.0 - kept } else { small };
        let spread = if timestep > 0.0 { variance.sqrt() } else { 0.0 };
        [next.sqrt() * (1.0 - kept) / (1.0 - now), kept.sqrt() * (1.0 - next) / (1.0 - now), spread]
    });
    let solver = Box::new(Ddpm { steps: steps.collect() });
    let levels = alphas.into_iter().map(Level::of_alpha_cumprod).collect();
    Plan { clip: config.clip(true), ..Plan::simple(timesteps, levels, solver) }
}

impl Solve for Ddpm {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let [original, sample, spread] = self.steps[step.index];
        Step::stir(step.original * original + step.sample * sample, step.noise, spread)
    }

    fn noise(&self, index: usize) -> StepNoise {
        if self.steps[index][2] > 0.0 { StepNoise::Unit } else { StepNoise::None }
    }
}
