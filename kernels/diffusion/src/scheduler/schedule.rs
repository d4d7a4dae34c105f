//! One run's timesteps, and a step at each.

use super::{
    Level, NoiseTable, SchedulerConfig, StepNoise, consistency, ddim, ddpm, deis, dpm2, euler, heun, lms, multistep,
    plan::{Plan, Step},
    pndm, singlestep,
    spacing::Setup,
    unipc,
};
use burn::tensor::Tensor;
use spec::{PredictionType, SchedulerKind, Solver};
use thiserror::Error;

/// A schedule that cannot be made.
#[derive(Debug, Error)]
pub enum SchedulerError {
    /// More steps than the model was trained on.
    #[error("{steps} steps are more than the {trained} timesteps that the model was trained on")]
    TooManySteps {
        /// Steps asked for.
        steps: usize,
        /// Timesteps there are.
        trained: usize,
    },
    /// A beta schedule that is not known.
    #[error("beta schedule `{0}` is not supported; `linear`, `scaled_linear` and `squaredcos_cap_v2` are")]
    BetaSchedule(String),
    /// A solver's algorithm that is not built.
    #[error("algorithm type `{0}` is not supported; `dpmsolver++` and `sde-dpmsolver++` are")]
    AlgorithmType(String),
}

/// What a step gives.
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// The latents at the next timestep.
    pub prev_sample: Tensor<4>,
    /// The finished latents as they are predicted now.
    pub pred_original_sample: Tensor<4>,
}

/// The timesteps of a run and what lies between them.
///
/// A run has as many evaluations of the model as it has [`Self::timesteps`]; some solvers take several for a step.
#[derive(Debug)]
pub struct Schedule {
    prediction: PredictionType,
    plan: Plan,
}

impl Schedule {
    /// Lays out `steps` steps for a scheduler under a model's configuration.
    ///
    /// # Errors
    /// [`SchedulerError`] for too many steps, an unknown beta schedule or an unknown algorithm.
    pub fn new(kind: SchedulerKind, config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let trained = config.num_train_timesteps;
        if steps == 0 || steps > trained {
            return Err(SchedulerError::TooManySteps { steps, trained });
        }
        let table = NoiseTable::new(config)?;
        let setup = Setup { kind, config, table: &table, steps };
        let plan = match kind.solver() {
            Solver::Ddim => ddim::plan(&setup),
            Solver::Ddpm => ddpm::plan(&setup),
            Solver::Pndm => pndm::plan(&setup),
            Solver::Ipndm => pndm::improved_plan(&setup),
            Solver::Lms => lms::plan(&setup),
            Solver::Euler => euler::plan(&setup),
            Solver::EulerAncestral => euler::ancestral_plan(&setup),
            Solver::FlowEuler => euler::flow_plan(&setup),
            Solver::Heun => heun::plan(&setup),
            Solver::Dpm2 | Solver::Dpm2Ancestral | Solver::DpmPlusPlus2SAncestral | Solver::DpmPlusPlusSde => {
                dpm2::plan(&setup)
            }
            Solver::DpmPlusPlus2M
            | Solver::DpmPlusPlus2MSde
            | Solver::DpmPlusPlus2MSdeHeun
            | Solver::DpmPlusPlus3MSde => multistep::plan(&setup)?,
            Solver::DpmPlusPlus2S => singlestep::plan(&setup)?,
            Solver::UniPc => unipc::plan(&setup),
            Solver::Deis => deis::plan(&setup),
            Solver::Lcm => consistency::lcm_plan(&setup),
            Solver::Tcd => consistency::tcd_plan(&setup),
        };
        Ok(Self { prediction: config.prediction_type, plan })
    }

    /// Timesteps of the model's evaluations, in the order they are taken.
    pub fn timesteps(&self) -> &[f64] {
        &self.plan.timesteps
    }

    /// Noise relative to signal at each timestep and after the last, as the reference's class lists it; empty for those that
    /// count timesteps only.
    pub fn sigmas(&self) -> &[f64] {
        &self.plan.sigmas
    }

    /// The run's steps, which may be fewer than its evaluations.
    pub fn steps(&self) -> usize {
        self.plan.done.last().copied().unwrap_or(0)
    }

    /// How many of the run's steps are done after evaluation `index`.
    pub fn steps_done(&self, index: usize) -> usize {
        self.plan.done[index]
    }

    /// The first evaluation of a run that paints over a picture by `strength`, and as many as there are when nothing of it is
    /// repainted. Counted as the reference's `get_timesteps` does.
    pub fn start(&self, strength: f64) -> usize {
        let steps = self.steps();
        let taken = ((steps as f64 * strength + 1e-6) as usize).min(steps);
        if taken == 0 {
            self.timesteps().len()
        } else {
            ((steps - taken) * self.plan.order).min(self.timesteps().len())
        }
    }

    /// What unit noise is multiplied with before the first step.
    pub const fn init_noise_sigma(&self) -> f64 {
        self.plan.init_noise_sigma
    }

    /// The shares of signal and noise before evaluation `index`, or after the last one.
    pub fn level(&self, index: usize) -> Level {
        self.plan.levels[index]
    }

    /// Scales latents to what the model was trained on.
    pub fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        let level = self.level(index);
        if level.alpha < 1.0 { sample } else { sample / level.length() }
    }

    /// Latents as they are before evaluation `index`, from finished ones and unit noise.
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        let level = self.level(index);
        original * level.alpha + noise * level.sigma
    }

    /// The finished latents that the model's output at evaluation `index` means, clamped where the scheduler does.
    ///
    /// # Shapes
    ///
    /// - all: `[batch, channels, height, width]`
    pub fn original(&self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        let original = self.level(index).original(self.prediction, output, sample);
        match self.plan.clip {
            Some(range) => original.clamp(-range, range),
            None => original,
        }
    }

    /// The noise that the step after evaluation `index` wants.
    pub fn noise(&self, index: usize) -> StepNoise {
        self.plan.solver.noise(index)
    }

    /// Whether it wants any.
    pub fn draws_noise(&self, index: usize) -> bool {
        self.noise(index) != StepNoise::None
    }

    /// Takes one evaluation further; `noise` is what [`Self::noise`] asks for, and is not used where it asks for none.
    ///
    /// # Shapes
    ///
    /// - output, sample, noise: `[batch, channels, height, width]`
    pub fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, noise: Option<Tensor<4>>) -> StepOutput {
        let original = self.original(output.clone(), index, sample.clone());
        let noise = noise.filter(|_| self.draws_noise(index));
        let Self { prediction, plan } = self;
        let levels = &plan.levels;
        let step = Step { index, levels, sample, output, prediction: *prediction, original: original.clone(), noise };
        StepOutput { prev_sample: plan.solver.step(step), pred_original_sample: original }
    }
}
