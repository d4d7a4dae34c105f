//! Schedulers of distilled models that jump to the end and back: latent consistency (Luo et al., 2023) and trajectory
//! consistency (Zheng et al., 2024).

use super::{
    Level,
    plan::{Plan, Solve, Step, StepNoise},
    spacing::Setup,
};
use burn::tensor::Tensor;

/// Every so manieth of the timesteps that the model was distilled at, from the noisiest.
fn timesteps(setup: &Setup<'_>) -> Vec<f64> {
    let Setup { config, steps, .. } = setup;
    let trained = config.num_train_timesteps;
    // The reference refuses more steps than there are of these; here such a run takes all timesteps for them.
    let distilled = if *steps > config.original_inference_steps { trained } else { config.original_inference_steps };
    let stride = (trained / distilled).max(1);
    let at = |step: usize| step * distilled / steps;
    (0..*steps).map(|step| ((distilled - at(step)) * stride - 1) as f64).collect()
}

#[derive(Debug)]
struct Lcm {
    /// Each step's shares of the predicted original and of the sample.
    boundaries: Vec<[f64; 2]>,
}

pub(super) fn lcm_plan(setup: &Setup<'_>) -> Plan {
    const DATA: f64 = 0.5;
    let Setup { config, table, .. } = setup;
    let timesteps = timesteps(setup);
    let boundary = |timestep: &f64| {
        let scaled = timestep * config.timestep_scaling;
        let square = scaled * scaled + DATA * DATA;
        [scaled / square.sqrt(), DATA * DATA / square]
    };
    let solver = Lcm { boundaries: timesteps.iter().map(boundary).collect() };
    let level = |&timestep: &f64| Level::of_alpha_cumprod(table.alpha_cumprod(timestep as usize));
    let levels = timesteps.iter().map(level).chain([Level::of_alpha_cumprod(1.0)]).collect();
    Plan { clip: config.clip(false), ..Plan::simple(timesteps, levels, Box::new(solver)) }
}

impl Solve for Lcm {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let [original, sample] = self.boundaries[step.index];
        let next = step.levels[step.index + 1];
        let denoised = step.original * original + step.sample * sample;
        match step.noise {
            Some(noise) => denoised * next.alpha + noise * next.sigma,
            None => denoised,
        }
    }

    fn noise(&self, index: usize) -> StepNoise {
        if index + 1 < self.boundaries.len() { StepNoise::Unit } else { StepNoise::None }
    }
}

#[derive(Debug)]
struct Tcd {
    /// What each step goes down to before it is stirred: between its end and the clean one.
    down: Vec<Level>,
    is_stirred: bool,
}

pub(super) fn tcd_plan(setup: &Setup<'_>) -> Plan {
    let Setup { config, table, .. } = setup;
    let timesteps = timesteps(setup);
    let eta = config.eta.unwrap_or(0.3).clamp(0.0, 1.0);
    let level = |timestep: f64| Level::of_alpha_cumprod(table.alpha_cumprod(timestep as usize));
    let ends: Vec<f64> = timesteps[1..].iter().copied().chain([0.0]).collect();
    let down = ends.iter().map(|end| level(((1.0 - eta) * end).floor())).collect();
    let levels = timesteps.iter().chain(ends.last()).map(|&timestep| level(timestep)).collect();
    Plan::simple(timesteps, levels, Box::new(Tcd { down, is_stirred: eta > 0.0 }))
}

impl Solve for Tcd {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let (now, down, next) = (step.level(), self.down[step.index], step.levels[step.index + 1]);
        let noise = now.noise(step.prediction, step.output, step.sample);
        let moved = step.original * down.alpha + noise * down.sigma;
        match step.noise {
            Some(noise) => {
                let kept = next.alpha / down.alpha;
                moved * kept + noise * (1.0 - kept * kept).max(0.0).sqrt()
            }
            None => moved,
        }
    }

    fn noise(&self, index: usize) -> StepNoise {
        if self.is_stirred && index + 1 < self.down.len() { StepNoise::Unit } else { StepNoise::None }
    }
}
