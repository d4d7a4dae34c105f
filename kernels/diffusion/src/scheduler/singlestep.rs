//! DPM-Solver++ whose steps are made of several of the run's (Lu et al., 2022).

use super::{
    Level, SchedulerError,
    multistep::{Stride, Terms, levels},
    plan::{Plan, Solve, Step},
    spacing::{Rounding, Setup},
};
use burn::tensor::Tensor;
use std::collections::VecDeque;

#[derive(Debug)]
struct Singlestep {
    /// How many evaluations each step looks back on, itself included.
    orders: Vec<usize>,
    is_heun: bool,
    /// The last originals, the newest first.
    originals: VecDeque<Tensor<4>>,
    /// Where the solver's step began.
    begun: Option<Tensor<4>>,
}

/// 1, 2, … up to the order, over and over, and lower ones at the end.
#[expect(clippy::fn_params_excessive_bools, reason = "the reference's class has both")]
fn orders(order: usize, steps: usize, ends_noisy: bool, lower_order_final: bool) -> Vec<usize> {
    let mut orders: Vec<usize> = (0..steps).map(|step| step % order + 1).collect();
    let is_whole = steps.is_multiple_of(order);
    if order > 1 && is_whole && (lower_order_final || !ends_noisy) {
        // The last step would have to be of full order; instead a shorter one is put before it.
        orders[steps - 1] = 1;
        if order == 2 {
            orders[steps - 2] = 1;
        }
    }
    if !ends_noisy {
        orders[steps - 1] = 1;
    }
    orders
}

pub(super) fn plan(setup: &Setup<'_>) -> Result<Plan, SchedulerError> {
    let config = setup.config;
    let (timesteps, sigmas, levels) = levels(setup, Rounding::Whole)?;
    let order = config.solver_order.unwrap_or(2);
    let solver = Singlestep {
        orders: orders(order, setup.steps, config.ends_noisy(), config.lower_order_final.unwrap_or(false)),
        is_heun: config.solver_type.as_deref() == Some("heun"),
        originals: VecDeque::new(),
        begun: None,
    };
    Ok(Plan { sigmas, ..Plan::simple(timesteps, levels, Box::new(solver)) })
}

impl Singlestep {
    /// Slope and curvature from the first of `order` evaluations on, in units of the whole step.
    fn differences(&self, levels: &[Level], index: usize, h: f64, order: usize) -> [Option<Tensor<4>>; 2] {
        let first = index + 1 - order;
        let quotient = |at: usize| {
            let reach = Stride::new(levels[first], levels[index - at]).h / h;
            let change = self.originals[at].clone() - self.originals[order - 1].clone();
            (reach.abs() > 1e-9).then(|| (change * reach.recip(), reach))
        };
        let Some((far, reach)) = (order > 1).then(|| quotient(0)).flatten() else { return [None, None] };
        let Some((near, middle)) = (order > 2 && self.is_heun).then(|| quotient(1)).flatten() else {
            return [Some(far), None];
        };
        let apart = (reach - middle).recip();
        let slope = (near.clone() * reach - far.clone() * middle) * apart;
        [Some(slope), Some((far - near) * (2.0 * apart))]
    }
}

impl Solve for Singlestep {
    fn step(&mut self, step: Step<'_>) -> Tensor<4> {
        let Step { index, levels, sample, original, .. } = step;
        self.originals.push_front(original);
        self.originals.truncate(3);
        // A run that starts in the middle knows no evaluations before.
        let order = self.orders[index].min(self.originals.len());
        if order == 1 {
            self.begun = Some(sample.clone());
        }
        let stride = Stride::new(levels[index + 1 - order], levels[index + 1]);
        let [slope, curve] = self.differences(levels, index, stride.h, order);
        let value = self.originals[order - 1].clone();
        let is_exact = self.is_heun || order > 2;
        let begun = self.begun.clone().unwrap_or(sample);
        Terms { value, slope, curve, is_exact }.integrate(stride, begun, false, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_the_references() {
        assert_eq!(orders(2, 10, false, false), [1, 2, 1, 2, 1, 2, 1, 2, 1, 1]);
        assert_eq!(orders(2, 5, false, false), [1, 2, 1, 2, 1]);
        assert_eq!(orders(3, 9, false, false), [1, 2, 3, 1, 2, 3, 1, 2, 1]);
        assert_eq!(orders(3, 8, false, false), [1, 2, 3, 1, 2, 3, 1, 1]);
        assert_eq!(orders(3, 7, false, false), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(orders(2, 4, true, false), [1, 2, 1, 2]);
        assert_eq!(orders(2, 1, false, false), [1]);
    }
}
