//! Unified predictor and corrector (Zhao et al., 2023).

use super::{
    Level,
    multistep::Stride,
    plan::{Plan, Solve, Step},
    spacing::{Rounding, Setup, spread_uni_flow},
};
use burn::tensor::Tensor;
use spec::SigmaSpacing;
use std::collections::VecDeque;

#[derive(Debug)]
struct UniPc {
    order: usize,
    lower_order_final: bool,
    /// `B(h) = h` of the paper's first variant instead of `B(h) = e^h - 1` of its second.
    is_bh1: bool,
    /// The last originals, the newest first.
    originals: VecDeque<Tensor<4>>,
    /// The sample that the last step began with, corrected, and the order of that step.
    last: Option<(Tensor<4>, usize)>,
}

pub(super) fn plan(setup: &Setup<'_>) -> Plan {
    let config = setup.config;
    let (timesteps, sigmas, levels) = if config.use_flow_sigmas {
        spread_uni_flow(setup)
    } else {
        let mut spaced = setup.preserving(Rounding::Whole);
        spaced.sigmas.push(match (config.ends_noisy(), setup.kind.spacing()) {
            (false, _) => 0.0,
            (true, SigmaSpacing::Default) => setup.table.sigmas()[0],
            (true, _) => spaced.sigmas[setup.steps - 1],
        });
        let levels = spaced.sigmas.iter().copied().map(Level::of_ratio).collect();
        (spaced.timesteps, spaced.sigmas, levels)
    };
    let solver = UniPc {
        order: config.solver_order.unwrap_or(2),
        lower_order_final: config.lower_order_final.unwrap_or(true),
        is_bh1: config.solver_type.as_deref() == Some("bh1"),
        originals: VecDeque::new(),
        last: None,
    };
    Plan { sigmas, ..Plan::simple(timesteps, levels, Box::new(solver)) }
}

/// A small system of linear equations by elimination; the pivots of these are never 0.
fn solve<const N: usize>(mut rows: [[f64; N]; N], mut right: [f64; N], count: usize) -> [f64; N] {
    for pivot in 0..count {
        for row in 0..count {
            if row != pivot {
                let factor = rows[row][pivot] / rows[pivot][pivot];
                #[expect(clippy::needless_range_loop, reason = "two rows of one matrix at once")]
                for column in 0..count {
                    rows[row][column] -= factor * rows[pivot][column];
                }
                right[row] -= factor * right[pivot];
            }
        }
    }
    std::array::from_fn(|row| if row < count { right[row] / rows[row][row] } else { 0.0 })
}

/// One update of either kind from a sample at `stride.from`.
struct Update {
    stride: Stride,
    /// Where the differences lie, in units of the step; the corrector's last is at its end, 1.
    ratios: Vec<f64>,
    /// The originals' differences from the newest, divided by where they lie.
    differences: Vec<Tensor<4>>,
}

impl UniPc {
    /// The differences of `order - 1` older originals from the one at level `index`.
    fn update(&self, levels: &[Level], index: usize, order: usize) -> Update {
        let stride = Stride::new(levels[index], levels[index + 1]);
        let mut update = Update { stride, ratios: Vec::new(), differences: Vec::new() };
        for back in 1..order.min(self.originals.len()) {
            let ratio = Stride::new(levels[index], levels[index - back]).h / stride.h;
            if !ratio.is_finite() || ratio.abs() < 1e-9 {
                break;
            }
            update.ratios.push(ratio);
            update.differences.push((self.originals[back].clone() - self.originals[0].clone()) / ratio);
        }
        update
    }

    /// Carries `sample` over the update's step.
    fn carry(&self, update: Update, sample: Tensor<4>) -> Tensor<4> {
        let Update { stride: Stride { from, to, h }, ratios, differences } = update;
        let q = -h;
        let grown = q.exp_m1();
        let base = if self.is_bh1 { q } else { grown };
        let moved = sample * (to.sigma / from.sigma) - self.originals[0].clone() * (to.alpha * grown);
        // A single difference has the paper's constant.
        let weights = if ratios.len() == 1 { [0.5, 0.0, 0.0] } else { weights(&ratios, q, base) };
        differences
            .into_iter()
            .zip(weights)
            .fold(moved, |sum, (difference, weight)| sum - difference * (to.alpha * base * weight))
    }
}

/// The weights that make the update exact for polynomials (equation 10 of the paper).
fn weights(ratios: &[f64], q: f64, base: f64) -> [f64; 3] {
    let (mut rows, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    let mut phi = q.exp_m1() / q - 1.0;
    let mut factorial = 1.0;
    for power in 0..ratios.len() {
        for (column, ratio) in ratios.iter().enumerate() {
            rows[power][column] = ratio.powi(power as i32);
        }
        right[power] = phi * factorial / base;
        factorial *= (power + 2) as f64;
        phi = phi / q - factorial.recip();
    }
    solve(rows, right, ratios.len())
}

impl Solve for UniPc {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, mut sample, original, .. } = step;
        if let Some((begun, order)) = self.last.take() {
            let mut update = self.update(levels, index - 1, order);
            if !update.stride.is_nothing() {
                update.ratios.push(1.0);
                update.differences.push(original.clone() - self.originals[0].clone());
                sample = self.carry(update, begun);
            }
        }
        self.originals.push_front(original);
        self.originals.truncate(self.order);
        let left = levels.len() - 1 - index;
        let most = if self.lower_order_final { self.order.min(left) } else { self.order };
        let order = most.min(self.originals.len());
        self.last = Some((sample.clone(), order));
        let update = self.update(levels, index, order);
        if update.stride.is_nothing() {
            return sample;
        }
        self.carry(update, sample)
    }
}
