//! What a family of solvers lays out for a run.

use super::{
    Level,
    spacing::{Setup, Spaced},
};
use burn::tensor::Tensor;
use spec::{PredictionType, TimestepSpacing};
use std::fmt::Debug;

/// The noise that a step wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepNoise {
    /// None.
    None,
    /// Fresh unit noise.
    Unit,
    /// The increment of the run's own Brownian path between two noise levels, scaled to unit noise.
    Path {
        /// The level that the step comes from.
        from: f64,
        /// The level that it leads to.
        to: f64,
    },
}

/// One evaluation of the model and what is known around it.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Which evaluation of the run.
    pub(super) index: usize,
    /// The level before each evaluation, and after the last.
    pub(super) levels: &'a [Level],
    /// What the model was evaluated at.
    pub(super) sample: Tensor<4>,
    /// What it said.
    pub(super) output: Tensor<4>,
    /// What that means.
    pub(super) prediction: PredictionType,
    /// The finished sample that it means, clamped where the scheduler does.
    pub(super) original: Tensor<4>,
    /// The noise that the solver asked for.
    pub(super) noise: Option<Tensor<4>>,
}

impl Step<'_> {
    /// The level of the sample.
    pub(super) fn level(&self) -> Level {
        self.levels[self.index]
    }

    /// Adds a share of the step's noise, where it has some.
    pub(super) fn stir(moved: Tensor<4>, noise: Option<Tensor<4>>, share: f64) -> Tensor<4> {
        match noise {
            Some(noise) => moved + noise * share,
            None => moved,
        }
    }
}

/// How a solver takes one evaluation further.
pub(super) trait Solve: Debug + Send {
    /// The sample before the next evaluation.
    fn step(&mut self, step: Step<'_>) -> Tensor<4>;

    /// The noise that an evaluation's step wants.
    fn noise(&self, index: usize) -> StepNoise {
        let _ = index;
        StepNoise::None
    }
}

/// A run, laid out.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of every evaluation.
    pub(super) timesteps: Vec<f64>,
    /// Noise relative to signal as the reference's class lists it; empty for those that count otherwise.
    pub(super) sigmas: Vec<f64>,
    /// Before every evaluation, and after the last.
    pub(super) levels: Vec<Level>,
    /// How many of the run's steps are done after every evaluation.
    pub(super) done: Vec<usize>,
    /// Evaluations that a step takes, but for the last.
    pub(super) order: usize,
    /// What unit noise is multiplied with before the first step.
    pub(super) init_noise_sigma: f64,
    pub(super) clip: Option<f64>,
    pub(super) solver: Box<dyn Solve>,
}

impl Plan {
    /// One evaluation a step, of samples that keep their variance or walk a straight path.
    pub(super) fn simple(timesteps: Vec<f64>, levels: Vec<Level>, solver: Box<dyn Solve>) -> Self {
        let done = (1..=timesteps.len()).collect();
        Self { timesteps, sigmas: Vec::new(), levels, done, order: 1, init_noise_sigma: 1.0, clip: None, solver }
    }

    /// One evaluation a step, of samples whose noise grows; `sigmas` has the level after the last step too.
    pub(super) fn exploding(setup: &Setup<'_>, timesteps: Vec<f64>, sigmas: Vec<f64>, solver: Box<dyn Solve>) -> Self {
        let levels = sigmas.iter().copied().map(Level::exploding).collect();
        let init_noise_sigma = init_noise_sigma(setup, &sigmas);
        Self { sigmas, init_noise_sigma, ..Self::simple(timesteps, levels, solver) }
    }

    /// Two evaluations a step but for the last: at each noise level and, but for the last, at `middle` of it and the next.
    /// `middle` gives the timestep and the noise level of the second evaluation.
    pub(super) fn paired(
        setup: &Setup<'_>,
        spaced: &Spaced,
        middle: impl Fn(usize) -> (f64, f64),
        solver: Box<dyn Solve>,
    ) -> Self {
        let Spaced { timesteps, sigmas } = spaced;
        let last = sigmas.len() - 1;
        let each = (0..last).flat_map(|step| [(timesteps[step], sigmas[step]), middle(step)]);
        let (timesteps, mut levels): (Vec<f64>, Vec<f64>) = each.chain([(timesteps[last], sigmas[last])]).unzip();
        levels.push(0.0);
        Self {
            done: (0..=2 * last).map(|index| if index == 2 * last { last + 1 } else { index.div_ceil(2) }).collect(),
            order: 2,
            ..Self::exploding(setup, timesteps, levels, solver)
        }
    }
}

/// The reference's classes start leading timesteps at the length of a noisy sample, the others at its noise alone.
fn init_noise_sigma(setup: &Setup<'_>, sigmas: &[f64]) -> f64 {
    let largest = sigmas.iter().copied().fold(0.0, f64::max);
    match setup.timestep_spacing() {
        TimestepSpacing::Leading => largest.hypot(1.0),
        _ => largest,
    }
}
