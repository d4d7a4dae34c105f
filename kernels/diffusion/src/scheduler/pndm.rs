//! Pseudo numerical methods for diffusion models (Liu et al., 2022): multistep formulas on DDIM's transfer from one timestep to
//! another.

use super::{
    Level, NoiseTable,
    plan::{Plan, Solve, Step},
    spacing::Setup,
};
use burn::tensor::Tensor;
use spec::PredictionType;
use std::collections::VecDeque;

/// How a step that has no history yet begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Three steps of Runge and Kutta, four evaluations each.
    RungeKutta,
    /// The first step is repeated with the mean of both its ends.
    Repeat,
    /// By lower orders.
    Lower,
}

#[derive(Debug)]
struct Pndm {
    start: Start,
    timesteps: Vec<f64>,
    table: NoiseTable,
    /// `ᾱ` before the first timestep.
    last: f64,
    /// Training timesteps between two steps.
    stride: f64,
    /// Evaluations so far.
    counter: usize,
    /// The last outputs, the newest first.
    outputs: VecDeque<Tensor<4>>,
    /// Where the step in the making began.
    begun: Option<Tensor<4>>,
    /// What its evaluations sum up to.
    sum: Option<Tensor<4>>,
}

/// Timesteps and steps done of the evaluations, from the run's own timesteps.
fn evaluations(start: Start, timesteps: &[f64], stride: f64) -> (Vec<f64>, Vec<usize>) {
    let steps = timesteps.len();
    match start {
        Start::Lower => (timesteps.to_vec(), (1..=steps).collect()),
        Start::Repeat if steps == 1 => (timesteps.to_vec(), vec![1]),
        Start::Repeat => {
            let repeated = timesteps[..2].iter().chain(&timesteps[1..]);
            (repeated.copied().collect(), (0..=steps).collect())
        }
        Start::RungeKutta => {
            let half = (stride / 2.0).floor();
            let warm = (0..3).flat_map(|step| {
                let middle = timesteps[step + 1] + half;
                [(timesteps[step], step), (middle, step), (middle, step), (timesteps[step + 1], step + 1)]
            });
            let rest = timesteps[3..].iter().zip(4..).map(|(&timestep, done)| (timestep, done));
            warm.chain(rest).unzip()
        }
    }
}

fn new(setup: &Setup<'_>, start: Start) -> Plan {
    let Setup { config, table, steps, .. } = setup;
    let stride = (config.num_train_timesteps / steps) as f64;
    let (timesteps, done) = evaluations(start, &setup.whole_timesteps(), stride);
    let last = if config.set_alpha_to_one.unwrap_or(false) { 1.0 } else { table.alpha_cumprod(0) };
    let levels = timesteps.iter().map(|&timestep| Level::of_alpha_cumprod(table.alpha_cumprod(timestep as usize)));
    let levels: Vec<Level> = levels.chain([Level::of_alpha_cumprod(last)]).collect();
    let solver = Pndm {
        start,
        timesteps: timesteps.clone(),
        table: (*table).clone(),
        last,
        stride,
        counter: 0,
        outputs: VecDeque::new(),
        begun: None,
        sum: None,
    };
    Plan { done, ..Plan::simple(timesteps, levels, Box::new(solver)) }
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    // Runge and Kutta's three steps need a fourth to lead to; the reference fails on shorter runs.
    // A file of another class says nothing of them, and nobody takes them with latents.
    let is_own = setup.config.class_name.as_deref() == Some(setup.kind.diffusers_class());
    let is_skipped = setup.config.skip_prk_steps.unwrap_or(!is_own) || setup.steps < 4;
    new(setup, if is_skipped { Start::Repeat } else { Start::RungeKutta })
}

pub(super) fn improved_plan(setup: &Setup<'_>) -> Plan {
    new(setup, Start::Lower)
}

impl Pndm {
    /// Carries a sample between two timesteps by a mean of outputs (equation 9 of the paper).
    fn transfer(&self, step: &Step<'_>, sample: Tensor<4>, output: Tensor<4>, [from, to]: [f64; 2]) -> Tensor<4> {
        let level = |timestep| Level::of_alpha_cumprod(self.table.alpha_cumprod_before(timestep, self.last));
        let (now, next) = (level(from), level(to));
        let noise = now.noise(step.prediction, output, sample.clone());
        let original = now.original(PredictionType::Epsilon, noise.clone(), sample);
        original * next.alpha + noise * next.sigma
    }

    /// The mean of the last outputs by Adams and Bashforth.
    fn combined(&self) -> Tensor<4> {
        const WEIGHTS: [&[f64]; 4] = [
            &[1.0],
            &[1.5, -0.5],
            &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        ];
        let weights = WEIGHTS[self.outputs.len().clamp(1, 4) - 1];
        let terms = self.outputs.iter().zip(weights).map(|(output, weight)| output.clone() * *weight);
        terms.reduce(|sum, term| sum + term).unwrap_or_else(|| unreachable!("an output was just remembered"))
    }

    fn remember(&mut self, output: Tensor<4>) {
        self.outputs.push_front(output);
        self.outputs.truncate(4);
    }

    /// One of the four evaluations of a step, from the sample that the step began with.
    fn runge_kutta(&mut self, step: &Step<'_>) -> Tensor<4> {
        let (first, stage) = (self.counter / 4 * 4, self.counter % 4);
        let output = step.output.clone();
        let share = if stage == 0 || stage == 3 { 1.0 / 6.0 } else { 1.0 / 3.0 };
        let part = output.clone() * share;
        let sum = match self.sum.take() {
            Some(sum) => sum + part,
            None => part,
        };
        if stage == 0 {
            self.begun = Some(step.sample.clone());
            self.remember(output.clone());
        }
        let begun = self.begun.clone().unwrap_or_else(|| step.sample.clone());
        let half = (self.stride / 2.0).floor();
        let to = self.timesteps[step.index] - if stage % 2 == 0 { half } else { 0.0 };
        let from = self.timesteps[step.index - stage.min(step.index)];
        debug_assert_eq!(first + stage, self.counter);
        if stage == 3 {
            return self.transfer(step, begun, sum, [from, to]);
        }
        self.sum = Some(sum);
        self.transfer(step, begun, output, [from, to])
    }
}

impl Solve for Pndm {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let timestep = self.timesteps[step.index];
        let counter = self.counter;
        if self.start == Start::RungeKutta && counter < 12 {
            let moved = self.runge_kutta(&step);
            self.counter += 1;
            return moved;
        }
        self.counter += 1;
        if self.start == Start::Repeat && counter == 1 {
            let (mean, begun) = match (self.outputs.front(), self.begun.take()) {
                (Some(first), Some(begun)) => ((first.clone() + step.output.clone()) / 2.0, begun),
                _ => (step.output.clone(), step.sample.clone()),
            };
            return self.transfer(&step, begun, mean, [timestep + self.stride, timestep]);
        }
        if counter == 0 {
            self.begun = Some(step.sample.clone());
        }
        self.remember(step.output.clone());
        self.transfer(&step, step.sample.clone(), self.combined(), [timestep, timestep - self.stride])
    }
}
