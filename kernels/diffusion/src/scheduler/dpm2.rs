//! Solvers that evaluate a step's middle: DPM-Solver-2 (Lu et al., 2022) as k-diffusion has it, with and without fresh noise,
//! and DPM-Solver++ of second order, with fresh noise at every step or on one Brownian path.

use super::{
    Level,
    level::ancestral,
    plan::{Plan, Solve, Step, StepNoise},
    spacing::{Rounding, Setup, Spaced, timestep_of},
};
use burn::tensor::Tensor;
use spec::Solver;

/// What the second evaluation is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Its derivative leads from the first sample all the way.
    Midpoint,
    /// Its original does.
    Original,
    /// Its original does, and both halves of the step are stirred along one path.
    Path,
}

#[derive(Debug)]
struct TwoStage {
    rule: Rule,
    /// What every step leads down to, and the fresh noise that leads up to the next level.
    ends: Vec<(f64, f64)>,
    /// The noise levels of the run's steps, and 0.
    sigmas: Vec<f64>,
    /// The sample that the step in the making began with.
    begun: Option<Tensor<4>>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let solver = setup.kind.solver();
    let is_midpoint = matches!(solver, Solver::Dpm2 | Solver::Dpm2Ancestral);
    let spaced = setup.exploding(if is_midpoint { Rounding::Nearest } else { Rounding::Never });
    let mut sigmas = spaced.sigmas.clone();
    sigmas.push(0.0);
    let end = |pair: &[f64]| match solver {
        Solver::Dpm2 => (pair[1], 0.0),
        _ => ancestral(pair[0], pair[1]),
    };
    let ends: Vec<(f64, f64)> = sigmas.windows(2).map(end).collect();
    let table = setup.table.sigmas();
    let rule = match solver {
        Solver::DpmPlusPlusSde => Rule::Path,
        Solver::DpmPlusPlus2SAncestral => Rule::Original,
        _ => Rule::Midpoint,
    };
    let middle = |step: usize| {
        let to = if rule == Rule::Path { sigmas[step + 1] } else { ends[step].0 };
        let sigma = (sigmas[step] * to).sqrt();
        (timestep_of(sigma, &table), sigma)
    };
    let two_stage = TwoStage { rule, ends: ends.clone(), sigmas: sigmas.clone(), begun: None };
    let plan = Plan::paired(setup, &spaced, middle, Box::new(two_stage));
    Plan { sigmas: listed(solver, &spaced), ..plan }
}

/// The levels as the reference's classes list them: the middle ones under the next, and DPM-Solver-2 with two zeros.
fn listed(solver: Solver, spaced: &Spaced) -> Vec<f64> {
    let mut sigmas: Vec<f64> = spaced.sigmas.iter().flat_map(|&sigma| [sigma, sigma]).skip(1).collect();
    let zeros = if matches!(solver, Solver::Dpm2 | Solver::Dpm2Ancestral) { 3 } else { 1 };
    sigmas.extend(std::iter::repeat_n(0.0, zeros));
    sigmas
}

impl TwoStage {
    fn first(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, sample, original, noise, .. } = step;
        let (now, middle) = (levels[index], levels[index + 1]);
        if middle.sigma > 0.0 {
            self.begun = Some(sample.clone());
        }
        if self.rule == Rule::Path {
            let (down, up) = ancestral(now.sigma, middle.sigma);
            return Step::stir(now.carry(sample, original, Level::exploding(down)), noise, up);
        }
        now.carry(sample, original, middle)
    }

    fn second(&self, begun: Tensor<4>, step: Step<'_>) -> Tensor<4> {
        let from = self.sigmas[step.index / 2];
        let (down, up) = self.ends[step.index / 2];
        let moved = match self.rule {
            Rule::Midpoint => {
                let derivative = (step.sample - step.original) / step.levels[step.index].sigma;
                begun + derivative * (down - from)
            }
            _ => Level::exploding(from).carry(begun, step.original, Level::exploding(down)),
        };
        Step::stir(moved, step.noise, up)
    }
}

impl Solve for TwoStage {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        match self.begun.take() {
            Some(begun) => self.second(begun, step),
            None => self.first(step),
        }
    }

    fn noise(&self, index: usize) -> StepNoise {
        let (step, is_second) = (index / 2, index % 2 == 1);
        let (from, to) = (self.sigmas[step], self.sigmas[step + 1]);
        match self.rule {
            // Equal levels, as where steps are more than there are, have no path between them.
            Rule::Path if to > 0.0 && from > to * (1.0 + 1e-9) => {
                StepNoise::Path { from, to: if is_second { to } else { (from * to).sqrt() } }
            }
            Rule::Path => StepNoise::None,
            _ if is_second && self.ends[step].1 > 0.0 => StepNoise::Unit,
            _ => StepNoise::None,
        }
    }
}
