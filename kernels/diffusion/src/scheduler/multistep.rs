//! DPM-Solver++ from the last evaluations (Lu et al., 2022), for the probability flow and for the stochastic equation.

use super::{
    Level, SchedulerError,
    plan::{Plan, Solve, Step, StepNoise},
    spacing::{Leveled, Rounding, Setup, spread_flow},
};
use burn::tensor::Tensor;
use spec::Solver;
use std::collections::VecDeque;

/// The last steps of a run shorter than this are of lower order.
pub(super) const SHORT: usize = 15;

#[expect(clippy::struct_excessive_bools, reason = "the reference's class has them one by one")]
#[derive(Debug)]
struct Multistep {
    /// For the stochastic equation.
    is_stochastic: bool,
    /// With Heun's second term instead of the midpoint's.
    is_heun: bool,
    order: usize,
    lower_order_final: bool,
    is_last_first_order: bool,
    /// The last originals, the newest first.
    originals: VecDeque<Tensor<4>>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Result<Plan, SchedulerError> {
    let config = setup.config;
    let solver = setup.kind.solver();
    // Only the reference's own class has whole timesteps.
    let rounding = if solver == Solver::DpmPlusPlus3MSde { Rounding::Never } else { Rounding::Whole };
    let (timesteps, sigmas, levels) = levels(setup, rounding)?;
    let (is_heun, order) = match solver {
        Solver::DpmPlusPlus2MSdeHeun => (true, 2),
        // As k-diffusion has it: the reference's class takes the curvature with another sign.
        Solver::DpmPlusPlus3MSde => (true, 3),
        _ => (config.solver_type.as_deref() == Some("heun"), config.solver_order.unwrap_or(2)),
    };
    let multistep = Multistep {
        is_stochastic: solver != Solver::DpmPlusPlus2M,
        is_heun,
        order,
        lower_order_final: solver != Solver::DpmPlusPlus3MSde && config.lower_order_final.unwrap_or(true),
        is_last_first_order: config.euler_at_final || !config.ends_noisy(),
        originals: VecDeque::new(),
    };
    Ok(Plan { sigmas, ..Plan::simple(timesteps, levels, Box::new(multistep)) })
}

/// Timesteps, noise relative to signal, and levels of a solver that keeps the sample's variance.
///
/// # Errors
/// [`SchedulerError::AlgorithmType`] for the older algorithms, which the reference deprecates.
pub(super) fn levels(setup: &Setup<'_>, rounding: Rounding) -> Result<Leveled, SchedulerError> {
    if let Some(other @ ("dpmsolver" | "sde-dpmsolver")) = setup.config.algorithm_type.as_deref() {
        return Err(SchedulerError::AlgorithmType(other.to_owned()));
    }
    if setup.config.use_flow_sigmas {
        return Ok(spread_flow(setup));
    }
    let mut spaced = setup.preserving(rounding);
    spaced.sigmas.push(if setup.config.ends_noisy() { setup.table.sigmas()[0] } else { 0.0 });
    let levels = spaced.sigmas.iter().copied().map(Level::of_ratio).collect();
    Ok((spaced.timesteps, spaced.sigmas, levels))
}

/// A step's ends, and how far apart they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stride {
    pub(super) from: Level,
    pub(super) to: Level,
    /// In the logarithm of signal to noise; infinite to a finished sample.
    pub(super) h: f64,
}

impl Stride {
    pub(super) fn new(from: Level, to: Level) -> Self {
        Self { from, to, h: to.lambda() - from.lambda() }
    }

    /// Whether the ends are one level, as where timesteps are more than there are.
    pub(super) fn is_nothing(self) -> bool {
        self.h.abs() < 1e-9
    }
}

/// What is known of the original along a step.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) value: Tensor<4>,
    pub(super) slope: Option<Tensor<4>>,
    pub(super) curve: Option<Tensor<4>>,
    /// Whether the slope is integrated exactly, as Heun's form does, or by the midpoint.
    pub(super) is_exact: bool,
}

impl Terms {
    /// Lu et al. (2022), appendix B: with `q = -h` for the flow and `q = -2 h` for the stochastic equation one family.
    pub(super) fn integrate(
        self,
        stride: Stride,
        sample: Tensor<4>,
        is_stochastic: bool,
        noise: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let Stride { from, to, h } = stride;
        if stride.is_nothing() {
            return sample;
        }
        let q = if is_stochastic { -2.0 * h } else { -h };
        let grown = -q.exp_m1();
        let kept = to.sigma / from.sigma * if is_stochastic { (-h).exp() } else { 1.0 };
        let mut moved = sample * kept + self.value * (to.alpha * grown);
        if let Some(slope) = self.slope {
            moved = moved + slope * (to.alpha * if self.is_exact { 1.0 + grown / q } else { 0.5 * grown });
        }
        if let Some(curve) = self.curve {
            moved = moved + curve * (to.alpha * ((grown + q) / (q * q) + 0.5));
        }
        Step::stir(moved, noise, to.sigma * (-(-2.0 * h).exp_m1()).max(0.0).sqrt())
    }
}

impl Multistep {
    fn order_at(&self, index: usize, steps: usize) -> usize {
        let left = steps - index;
        let is_short = self.lower_order_final && steps < SHORT;
        let most = match left {
            1 if is_short || self.is_last_first_order => 1,
            2 if is_short => 2,
            _ => self.order,
        };
        most.min(self.originals.len())
    }

    /// The original's slope and curvature at `index`, in units of the step that follows.
    fn differences(&self, levels: &[Level], index: usize, h: f64, order: usize) -> [Option<Tensor<4>>; 2] {
        let back = |at: usize| Stride::new(levels[index - at - 1], levels[index - at]);
        let quotient = |at: usize| {
            let stride = back(at);
            let change = self.originals[at].clone() - self.originals[at + 1].clone();
            (!stride.is_nothing()).then(|| (change * (h / stride.h), stride.h / h))
        };
        let Some((first, near)) = (order > 1).then(|| quotient(0)).flatten() else { return [None, None] };
        let Some((second, far)) = (order > 2).then(|| quotient(1)).flatten() else { return [Some(first), None] };
        let change = first.clone() - second;
        [Some(first + change.clone() * (near / (near + far))), Some(change * (near + far).recip())]
    }
}

impl Solve for Multistep {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, sample, original, noise, .. } = step;
        self.originals.push_front(original.clone());
        self.originals.truncate(3);
        let stride = Stride::new(levels[index], levels[index + 1]);
        let order = self.order_at(index, levels.len() - 1);
        let [slope, curve] = self.differences(levels, index, stride.h, order);
        let is_exact = self.is_heun || curve.is_some();
        Terms { value: original, slope, curve, is_exact }.integrate(stride, sample, self.is_stochastic, noise)
    }

    fn noise(&self, _: usize) -> StepNoise {
        if self.is_stochastic { StepNoise::Unit } else { StepNoise::None }
    }
}
