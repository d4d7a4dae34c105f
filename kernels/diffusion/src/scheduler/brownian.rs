//! One path of Brownian motion, refined where it is looked at.
//!
//! The binary tree of `torchsde.BrownianTree` (Li et al., 2020, algorithm 3) with its seeds, tolerance and pool, which k-diffusion
//! and diffusers draw the noise of DPM++ SDE from: a seed's path is the same whatever is asked of it and in which order.

use crate::noise::{NoiseSeed, SeedSequence};

/// Times are whole multiples of this.
const TOLERANCE: f64 = 1e-6;

/// The nearest multiple; in decimals, since a quotient cannot tell which side of a half a time lies on.
fn round(time: f64) -> f64 {
    format!("{time:.6}").parse().unwrap_or(time)
}

/// The motion of `count` numbers between two times.
#[derive(Debug)]
pub struct BrownianTree {
    seed: NoiseSeed,
    start: f64,
    end: f64,
    /// The increment over all of it.
    whole: Vec<f32>,
}

/// Part of the tree.
#[derive(Debug, Clone)]
struct Interval {
    start: f64,
    end: f64,
    increment: Vec<f32>,
    /// Which of its depth's it is, from the left.
    key: u64,
    depth: u32,
}

impl BrownianTree {
    /// The path of a seed from `start` to `end`, which come in this order.
    pub fn new(seed: NoiseSeed, start: f64, end: f64, count: usize) -> Self {
        let [drawn] = SeedSequence::new(seed.seed, &[]).state();
        let spread = (end - start).max(0.0).sqrt() as f32;
        let whole = seed.with(drawn).normal(count).into_iter().map(|value| value * spread).collect();
        Self { seed, start: round(start), end: round(end), whole }
    }

    /// How far the path moves from one time to another; backwards it is the negative.
    pub fn increment(&self, from: f64, to: f64) -> Vec<f32> {
        if from > to {
            return self.increment(to, from).into_iter().map(|value| -value).collect();
        }
        let clamp = |time: f64| round(time.clamp(self.start, self.end));
        let mut sum = vec![0.0; self.whole.len()];
        let top = Interval { start: self.start, end: self.end, increment: self.whole.clone(), key: 0, depth: 0 };
        self.gather(top, clamp(from), clamp(to), &mut sum);
        sum
    }

    /// Adds what the path moves between two times within an interval.
    fn gather(&self, interval: Interval, from: f64, to: f64, sum: &mut [f32]) {
        let half = 0.5 * TOLERANCE;
        if to - from < half || to - half < interval.start || from + half > interval.end {
            return;
        }
        let middle = round(0.5 * (interval.start + interval.end));
        let is_whole = from < interval.start + half && to > interval.end - half;
        if is_whole || middle - interval.start < half || interval.end - middle < half {
            sum.iter_mut().zip(&interval.increment).for_each(|(sum, value)| *sum += value);
            return;
        }
        let (left, right) = self.split(interval, middle);
        self.gather(left, from, to.min(middle), sum);
        self.gather(right, from.max(middle), to, sum);
    }

    /// Both halves of an interval, by the bridge between its ends.
    fn split(&self, interval: Interval, middle: f64) -> (Interval, Interval) {
        let Interval { start, end, increment, key, depth } = interval;
        let [drawn] = SeedSequence::new(self.seed.seed, &[key, u64::from(depth)]).state();
        let (before, after, all) = (middle - start, end - middle, end - start);
        let (mean, spread) = ((before / all) as f32, (before * after / all).sqrt() as f32);
        let drawn = self.seed.with(drawn).normal(increment.len());
        let left: Vec<f32> = increment.iter().zip(drawn).map(|(whole, value)| mean * whole + spread * value).collect();
        let right = increment.iter().zip(&left).map(|(whole, left)| whole - left).collect();
        (
            Interval { start, end: middle, increment: left, key: 2 * key, depth: depth + 1 },
            Interval { start: middle, end, increment: right, key: 2 * key + 1, depth: depth + 1 },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::NoiseKind;

    fn tree(seed: u64) -> BrownianTree {
        BrownianTree::new(NoiseSeed { kind: NoiseKind::TorchCpu, seed }, 0.0292, 14.6146, 4096)
    }

    fn spread(values: &[f32]) -> f64 {
        (values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn a_path_is_one_path_wherever_it_is_cut() {
        let tree = tree(7);
        for (a, b, c) in [(0.5, 1.25, 9.0), (0.0292, 0.03, 14.6146), (14.0, 3.0, 0.1), (2.0, 11.0, 5.0)] {
            let (first, second, both) = (tree.increment(a, b), tree.increment(b, c), tree.increment(a, c));
            for ((first, second), both) in first.iter().zip(second).zip(both) {
                assert!((first + second - both).abs() < 1e-5, "{a} {b} {c}: {first} + {second} is not {both}");
            }
        }
        assert!(tree.increment(3.0, 3.0).iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_seed_is_one_path_in_whatever_order_it_is_asked() {
        let (one, other) = (tree(7), tree(7));
        let early = one.increment(2.0, 3.0);
        other.increment(9.0, 12.0);
        assert_eq!(other.increment(2.0, 3.0), early);
        assert_ne!(tree(8).increment(2.0, 3.0), early);
    }

    #[test]
    fn increments_spread_as_the_root_of_the_time() {
        for (from, to) in [(0.1, 0.2), (1.0, 5.0), (0.03, 14.6)] {
            let ratio = spread(&tree(3).increment(from, to)) / f64::sqrt(to - from);
            assert!((ratio - 1.0).abs() < 0.05, "{from} to {to}: {ratio}");
        }
    }
}
