//! At which timesteps and noise levels a run stops.

use super::{
    Level, NoiseTable, SchedulerConfig,
    beta::quantile,
    table::{interpolate, linspace},
};
use spec::{SchedulerKind, SigmaSpacing, Solver, TimestepSpacing};

/// What a run's levels are made of.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) kind: SchedulerKind,
    pub(super) config: &'a SchedulerConfig,
    pub(super) table: &'a NoiseTable,
    pub(super) steps: usize,
}

/// Timesteps, and noise relative to signal at each.
#[derive(Debug)]
pub(super) struct Spaced {
    pub(super) timesteps: Vec<f64>,
    pub(super) sigmas: Vec<f64>,
}

/// How timesteps that are found for noise levels become whole ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// They do not.
    Never,
    /// Karras' and Lu's are rounded, the others stay.
    Nearest,
    /// Karras' and Lu's are rounded, the others cut off.
    Whole,
}

impl Setup<'_> {
    pub(super) fn timestep_spacing(&self) -> TimestepSpacing {
        self.config.spacing(self.kind)
    }

    /// Whole timesteps of a solver that looks up its levels there.
    pub(super) fn whole_timesteps(&self) -> Vec<f64> {
        let Self { config, steps, .. } = self;
        spread(self.timestep_spacing(), config.num_train_timesteps, *steps, config.steps_offset, true)
    }

    /// As the reference's classes after Karras et al. (2022) do it: from the noise of the first timestep to that of the last.
    pub(super) fn exploding(&self, rounding: Rounding) -> Spaced {
        let Self { config, steps, .. } = self;
        let table = self.table.sigmas();
        let trained = config.num_train_timesteps;
        let timesteps = spread(self.timestep_spacing(), trained, *steps, config.steps_offset, false);
        let sigmas: Vec<f64> = timesteps.iter().map(|&timestep| interpolate(&table, timestep)).collect();
        let (first, last) = (sigmas[0], sigmas[steps - 1]);
        self.respaced(first, last, &table, rounding).unwrap_or(Spaced { timesteps, sigmas })
    }

    /// As its classes after Lu et al. (2022) do it: one more timestep is spread than is taken, and other spacings reach over all
    /// of the training noise.
    pub(super) fn preserving(&self, rounding: Rounding) -> Spaced {
        let Self { config, steps, .. } = self;
        let table = self.table.sigmas();
        let trained = config.num_train_timesteps;
        if let Some(spaced) = self.respaced(table[trained - 1], table[0], &table, rounding) {
            return spaced;
        }
        let timesteps = match self.timestep_spacing() {
            TimestepSpacing::Trailing => spread(TimestepSpacing::Trailing, trained, *steps, 0, true),
            spacing => spread(spacing, trained, steps + 1, config.steps_offset, true)[..*steps].to_vec(),
        };
        let sigmas = timesteps.iter().map(|&timestep| interpolate(&table, timestep)).collect();
        Spaced { timesteps, sigmas }
    }

    fn respaced(&self, largest: f64, smallest: f64, table: &[f64], rounding: Rounding) -> Option<Spaced> {
        let spacing = self.kind.spacing();
        let sigmas = match even_timesteps(spacing, self.steps, table.len()) {
            Some(timesteps) => timesteps.iter().map(|&timestep| log_interpolate(table, timestep)).collect(),
            None => respace(spacing, largest, smallest, self.steps)?,
        };
        let is_rounded = matches!(spacing, SigmaSpacing::Karras | SigmaSpacing::Lu) && rounding != Rounding::Never;
        let is_cut = matches!(spacing, SigmaSpacing::Exponential | SigmaSpacing::Beta) && rounding == Rounding::Whole;
        let whole = |timestep: f64| match (is_rounded, is_cut) {
            (true, _) => timestep.round_ties_even(),
            // The reference's rounding errors keep it just below the last timestep.
            (_, true) => (timestep - 1e-5).trunc(),
            _ => timestep,
        };
        let timesteps = sigmas.iter().map(|&sigma| whole(timestep_of(sigma, table))).collect();
        Some(Spaced { timesteps, sigmas })
    }
}

/// Noise levels of a spacing between two; `None` for one that is spread over timesteps.
pub(super) fn respace(spacing: SigmaSpacing, largest: f64, smallest: f64, steps: usize) -> Option<Vec<f64>> {
    let ramp = linspace(0.0, 1.0, steps);
    let between = |from: f64, to: f64, back: fn(f64) -> f64| {
        ramp.iter().map(|share| back(from + share * (to - from))).collect::<Vec<f64>>()
    };
    match spacing {
        SigmaSpacing::Karras => {
            const RHO: f64 = 7.0;
            Some(between(largest.powf(RHO.recip()), smallest.powf(RHO.recip()), |root| root.powf(RHO)))
        }
        // Evenly in the logarithm of signal to noise is evenly in that of noise to signal.
        SigmaSpacing::Exponential | SigmaSpacing::Lu => Some(between(largest.ln(), smallest.ln(), f64::exp)),
        SigmaSpacing::Beta => {
            const SHAPE: f64 = 0.6;
            let share = |ramp: &f64| smallest + quantile(1.0 - ramp, SHAPE, SHAPE) * (largest - smallest);
            Some(ramp.iter().map(share).collect())
        }
        SigmaSpacing::KlOptimal => Some(between(largest.atan(), smallest.atan(), f64::tan)),
        _ => None,
    }
}

/// The timesteps of web UIs' schedule types that are made of them; `None` for the others.
fn even_timesteps(spacing: SigmaSpacing, steps: usize, trained: usize) -> Option<Vec<f64>> {
    let last = (trained - 1) as f64;
    let stride = trained as f64 / steps as f64;
    match spacing {
        SigmaSpacing::Uniform => Some(linspace(last, 0.0, steps)),
        SigmaSpacing::SgmUniform => Some(linspace(last, 0.0, steps + 1)[..steps].to_vec()),
        SigmaSpacing::Simple => Some((0..steps).map(|step| last - (step as f64 * stride).floor()).collect()),
        SigmaSpacing::DdimUniform => {
            let stride = (trained / steps).max(1);
            Some((0..steps).rev().map(|step| (1 + step * stride).min(trained - 1) as f64).collect())
        }
        _ => None,
    }
}

/// Timesteps, noise relative to signal, and levels.
pub(super) type Leveled = (Vec<f64>, Vec<f64>, Vec<Level>);

fn straight(config: &SchedulerConfig, mut sigmas: Vec<f64>, last: f64) -> Leveled {
    let timesteps = sigmas.iter().map(|sigma| (sigma * config.num_train_timesteps as f64).trunc()).collect();
    sigmas.push(last);
    let levels = sigmas.iter().copied().map(Level::straight).collect();
    (timesteps, sigmas, levels)
}

fn shifted(config: &SchedulerConfig, sigma: f64) -> f64 {
    config.flow_shift * sigma / (1.0 + (config.flow_shift - 1.0) * sigma)
}

/// The levels of a straight path as DPM-Solver's and DEIS' classes spread them.
pub(super) fn spread_flow(setup: &Setup<'_>) -> Leveled {
    let config = setup.config;
    let alphas = linspace(1.0, (config.num_train_timesteps as f64).recip(), setup.steps + 1);
    let sigmas: Vec<f64> = alphas[1..].iter().rev().map(|alpha| shifted(config, 1.0 - alpha)).collect();
    let last = if setup.kind.solver() == Solver::Deis { sigmas[setup.steps - 1] } else { 0.0 };
    straight(config, sigmas, last)
}

/// The same as UniPC's class does.
pub(super) fn spread_uni_flow(setup: &Setup<'_>) -> Leveled {
    let config = setup.config;
    let even = linspace(1.0, (config.num_train_timesteps as f64).recip(), setup.steps + 1);
    let mut sigmas: Vec<f64> = even[..setup.steps].iter().map(|&sigma| shifted(config, sigma)).collect();
    // All noise and no signal has no logarithm.
    sigmas[0] = sigmas[0].min(1.0 - 1e-6);
    let last = if config.ends_noisy() { sigmas[setup.steps - 1] } else { 0.0 };
    straight(config, sigmas, last)
}

/// Timesteps from the noisiest to the cleanest.
pub(super) fn spread(spacing: TimestepSpacing, trained: usize, steps: usize, offset: usize, whole: bool) -> Vec<f64> {
    let last = (trained - 1) as f64;
    let timesteps: Vec<f64> = match spacing {
        TimestepSpacing::Linspace => {
            let even = linspace(0.0, last, steps);
            even.into_iter().map(|t| if whole { t.round_ties_even() } else { t }).rev().collect()
        }
        TimestepSpacing::Leading => {
            let stride = (trained / steps).max(1);
            (0..steps).rev().map(|i| (i * stride + offset) as f64).collect()
        }
        TimestepSpacing::Trailing => {
            let stride = trained as f64 / steps as f64;
            (0..steps).map(|i| (trained as f64 - i as f64 * stride).round_ties_even() - 1.0).collect()
        }
    };
    timesteps.into_iter().map(|timestep| timestep.clamp(0.0, last)).collect()
}

/// The timestep whose noise level this is, interpolated in the logarithm.
pub(super) fn timestep_of(sigma: f64, sigmas: &[f64]) -> f64 {
    let log = sigma.max(1e-10).ln();
    let low = sigmas.partition_point(|&other| other.ln() <= log).saturating_sub(1).min(sigmas.len().saturating_sub(2));
    let high = (low + 1).min(sigmas.len() - 1);
    let (below, above) = (sigmas[low].ln(), sigmas[high].ln());
    if high == low { low as f64 } else { low as f64 + ((below - log) / (below - above)).clamp(0.0, 1.0) }
}

/// The noise level of a timestep, interpolated in the logarithm.
fn log_interpolate(sigmas: &[f64], timestep: f64) -> f64 {
    let last = sigmas.len() - 1;
    let low = (timestep.clamp(0.0, last as f64).floor()) as usize;
    let high = (low + 1).min(last);
    let (below, above) = (sigmas[low].ln(), sigmas[high].ln());
    (below + (above - below) * (timestep - low as f64)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The noise levels of Stable Diffusion 1.x.
    fn table() -> Vec<f64> {
        let text = r#"{"beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear"}"#;
        NoiseTable::new(&SchedulerConfig::from_json(text).unwrap()).unwrap().sigmas()
    }

    #[test]
    fn timesteps_and_noise_levels_are_each_others_inverse() {
        let table = table();
        for timestep in [0.0, 0.4, 17.0, 500.25, 998.9, 999.0] {
            let back = timestep_of(log_interpolate(&table, timestep), &table);
            assert!((back - timestep).abs() < 1e-6, "{timestep} became {back}");
        }
        assert!((timestep_of(1e9, &table) - 999.0).abs() < 1e-9 && timestep_of(0.0, &table).abs() < 1e-9);
    }

    #[test]
    fn schedule_types_spread_timesteps_as_web_uis_do() {
        assert_eq!(even_timesteps(SigmaSpacing::Uniform, 4, 1000).unwrap(), [999.0, 666.0, 333.0, 0.0]);
        assert_eq!(even_timesteps(SigmaSpacing::SgmUniform, 4, 1000).unwrap(), [999.0, 749.25, 499.5, 249.75]);
        assert_eq!(even_timesteps(SigmaSpacing::Simple, 4, 1000).unwrap(), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(even_timesteps(SigmaSpacing::DdimUniform, 4, 1000).unwrap(), [751.0, 501.0, 251.0, 1.0]);
    }

    #[test]
    fn every_spacing_falls_from_the_largest_to_the_smallest() {
        for spacing in SigmaSpacing::ALL {
            for steps in [1, 2, 30] {
                let Some(sigmas) = respace(*spacing, 14.6, 0.03, steps) else { continue };
                assert!((sigmas[0] - 14.6).abs() < 1e-9, "{spacing}: {sigmas:?}");
                assert!(steps == 1 || (sigmas[steps - 1] - 0.03).abs() < 1e-9, "{spacing}: {sigmas:?}");
                assert!(sigmas.windows(2).all(|pair| pair[0] > pair[1]), "{spacing}: {sigmas:?}");
            }
        }
    }
}
