//! One run's timesteps, and a step at each.

use super::{
    NoiseTable, SchedulerConfig,
    table::{interpolate, linspace},
};
use burn::tensor::Tensor;
use spec::{PredictionType, SchedulerKind, TimestepSpacing};
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
}

/// What a step gives.
#[derive(Debug, Clone)]
pub struct StepOutput {
    /// The latents at the next timestep.
    pub prev_sample: Tensor<4>,
    /// The finished latents as they are predicted now.
    pub pred_original_sample: Tensor<4>,
}

/// Coefficients of one timestep, however the scheduler counts noise.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// `sqrt(ᾱ)`.
    alpha: f64,
    /// `sqrt(1 - ᾱ)`.
    sigma: f64,
}

impl Level {
    fn of_alpha_cumprod(value: f64) -> Self {
        Self { alpha: value.sqrt(), sigma: (1.0 - value).sqrt() }
    }

    /// From noise relative to signal.
    fn of_ratio(ratio: f64) -> Self {
        let alpha = (ratio * ratio + 1.0).sqrt().recip();
        Self { alpha, sigma: ratio * alpha }
    }

    fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }
}

/// The timesteps of a run and what lies between them.
#[derive(Debug, Clone)]
pub struct Schedule {
    kind: SchedulerKind,
    prediction: PredictionType,
    spacing: TimestepSpacing,
    timesteps: Vec<f64>,
    /// Noise relative to signal at each timestep and after the last; empty for DDIM.
    sigmas: Vec<f64>,
    /// DDIM's levels at each timestep and after the last.
    levels: Vec<Level>,
    clip: Option<f64>,
    /// DPM++ 2M's previous prediction.
    previous: Option<Tensor<4>>,
}

impl Schedule {
    /// Spreads `steps` timesteps for a scheduler under a model's configuration.
    ///
    /// # Errors
    /// [`SchedulerError`] for too many steps or an unknown beta schedule.
    pub fn new(kind: SchedulerKind, config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let trained = config.num_train_timesteps;
        if steps == 0 || steps > trained {
            return Err(SchedulerError::TooManySteps { steps, trained });
        }
        let table = NoiseTable::new(config)?;
        let spacing = config.spacing(kind);
        let mut schedule = Self {
            kind,
            prediction: config.prediction_type,
            spacing,
            timesteps: Vec::new(),
            sigmas: Vec::new(),
            levels: Vec::new(),
            clip: None,
            previous: None,
        };
        match kind {
            SchedulerKind::Ddim => schedule.spread_ddim(config, &table, steps),
            SchedulerKind::Euler | SchedulerKind::EulerKarras | SchedulerKind::EulerAncestral => {
                schedule.spread_euler(config, &table, steps);
            }
            SchedulerKind::DpmPlusPlus2M | SchedulerKind::DpmPlusPlus2MKarras => {
                schedule.spread_dpm(config, &table, steps);
            }
        }
        Ok(schedule)
    }

    fn spread_ddim(&mut self, config: &SchedulerConfig, table: &NoiseTable, steps: usize) {
        let trained = config.num_train_timesteps;
        self.timesteps = spread(self.spacing, trained, steps, config.steps_offset, true);
        let last = if config.set_alpha_to_one { 1.0 } else { table.alpha_cumprod(0) };
        let stride = (trained / steps) as f64;
        self.levels = Vec::with_capacity(steps * 2);
        for &timestep in &self.timesteps {
            let before = timestep - stride;
            let previous = if before >= 0.0 { table.alpha_cumprod(before as usize) } else { last };
            self.levels.push(Level::of_alpha_cumprod(table.alpha_cumprod(timestep as usize)));
            self.levels.push(Level::of_alpha_cumprod(previous));
        }
        // The reference's class clamps unless its file says no.
        self.clip = config.clip_sample.unwrap_or(true).then_some(config.clip_sample_range);
    }

    fn spread_euler(&mut self, config: &SchedulerConfig, table: &NoiseTable, steps: usize) {
        let sigmas = table.sigmas();
        self.timesteps = spread(self.spacing, config.num_train_timesteps, steps, config.steps_offset, false);
        self.sigmas = self.timesteps.iter().map(|&timestep| interpolate(&sigmas, timestep)).collect();
        if self.kind == SchedulerKind::EulerKarras {
            let (first, last) = (self.sigmas[0], self.sigmas[steps - 1]);
            self.sigmas = karras(first, last, steps);
            self.timesteps = self.sigmas.iter().map(|&sigma| timestep_of(sigma, &sigmas)).collect();
        }
        self.sigmas.push(0.0);
    }

    fn spread_dpm(&mut self, config: &SchedulerConfig, table: &NoiseTable, steps: usize) {
        let trained = config.num_train_timesteps;
        let sigmas = table.sigmas();
        if self.kind == SchedulerKind::DpmPlusPlus2MKarras {
            self.sigmas = karras(sigmas[trained - 1], sigmas[0], steps);
            self.timesteps = self.sigmas.iter().map(|&sigma| timestep_of(sigma, &sigmas).round_ties_even()).collect();
        } else {
            // This class spreads one more timestep than it takes and drops the last.
            self.timesteps = match self.spacing {
                TimestepSpacing::Trailing => spread(self.spacing, trained, steps, 0, true),
                _ => spread(self.spacing, trained, steps + 1, config.steps_offset, true)[..steps].to_vec(),
            };
            self.sigmas = self.timesteps.iter().map(|&timestep| interpolate(&sigmas, timestep)).collect();
        }
        self.sigmas.push(0.0);
    }

    /// Timesteps in the order they are taken.
    pub fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    /// Noise relative to signal at each timestep and after the last; empty for DDIM.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    const fn is_euler(&self) -> bool {
        matches!(self.kind, SchedulerKind::Euler | SchedulerKind::EulerKarras | SchedulerKind::EulerAncestral)
    }

    /// What unit noise is multiplied with before the first step.
    pub fn init_noise_sigma(&self) -> f64 {
        if !self.is_euler() {
            return 1.0;
        }
        let largest = self.sigmas.iter().copied().fold(0.0, f64::max);
        match self.spacing {
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
            _ => largest,
        }
    }

    /// Scales latents to what the model was trained on.
    pub fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        if self.is_euler() {
            let sigma = self.sigmas[index];
            sample / (sigma * sigma + 1.0).sqrt()
        } else {
            sample
        }
    }

    /// Latents as they are before step `index`, from finished ones and unit noise.
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        if self.is_euler() {
            return original + noise * self.sigmas[index];
        }
        let level = self.level(index);
        original * level.alpha + noise * level.sigma
    }

    fn level(&self, index: usize) -> Level {
        if self.levels.is_empty() { Level::of_ratio(self.sigmas[index]) } else { self.levels[2 * index] }
    }

    /// Whether a step wants unit noise.
    pub const fn draws_noise(&self) -> bool {
        self.kind.is_ancestral()
    }

    /// Takes one step; `noise` is unit noise, used only where [`Self::draws_noise`].
    ///
    /// # Shapes
    ///
    /// - output, sample, noise: `[batch, channels, height, width]`
    pub fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, noise: Option<Tensor<4>>) -> StepOutput {
        match self.kind {
            SchedulerKind::Ddim => self.step_ddim(output, index, sample),
            SchedulerKind::Euler | SchedulerKind::EulerKarras => self.step_euler(output, index, sample),
            SchedulerKind::EulerAncestral => self.step_euler_ancestral(output, index, sample, noise),
            SchedulerKind::DpmPlusPlus2M | SchedulerKind::DpmPlusPlus2MKarras => self.step_dpm(output, index, sample),
        }
    }

    /// Equation 12 of Song et al. (2020) with η = 0.
    fn step_ddim(&self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> StepOutput {
        let (now, next) = (self.levels[2 * index], self.levels[2 * index + 1]);
        let (original, noise) = match self.prediction {
            PredictionType::Epsilon => ((sample - output.clone() * now.sigma) / now.alpha, output),
            PredictionType::VPrediction => {
                (sample.clone() * now.alpha - output.clone() * now.sigma, output * now.alpha + sample * now.sigma)
            }
        };
        let original = match self.clip {
            Some(range) => original.clamp(-range, range),
            None => original,
        };
        let prev_sample = original.clone() * next.alpha + noise * next.sigma;
        StepOutput { prev_sample, pred_original_sample: original }
    }

    fn original_at(&self, output: Tensor<4>, sample: Tensor<4>, sigma: f64) -> Tensor<4> {
        match self.prediction {
            PredictionType::Epsilon => sample - output * sigma,
            PredictionType::VPrediction => {
                let scale = sigma * sigma + 1.0;
                sample / scale - output * (sigma / scale.sqrt())
            }
        }
    }

    fn step_euler(&self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> StepOutput {
        let (now, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let original = self.original_at(output, sample.clone(), now);
        let prev_sample = sample.clone() + (sample - original.clone()) * ((next - now) / now);
        StepOutput { prev_sample, pred_original_sample: original }
    }

    fn step_euler_ancestral(
        &self,
        output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        noise: Option<Tensor<4>>,
    ) -> StepOutput {
        let (now, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let original = self.original_at(output, sample.clone(), now);
        let up = (next * next * (now * now - next * next) / (now * now)).sqrt();
        let down = (next * next - up * up).sqrt();
        let moved = sample.clone() + (sample - original.clone()) * ((down - now) / now);
        let prev_sample = match noise {
            Some(noise) => moved + noise * up,
            None => moved,
        };
        StepOutput { prev_sample, pred_original_sample: original }
    }

    /// Algorithm 2 of Lu et al. (2022), first order at both ends.
    fn step_dpm(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> StepOutput {
        let (now, next) = (Level::of_ratio(self.sigmas[index]), Level::of_ratio(self.sigmas[index + 1]));
        let original = match self.prediction {
            PredictionType::Epsilon => (sample.clone() - output * now.sigma) / now.alpha,
            PredictionType::VPrediction => sample.clone() * now.alpha - output * now.sigma,
        };
        let previous = self.previous.replace(original.clone());
        let is_last = index + 1 == self.timesteps.len();
        let step = next.lambda() - now.lambda();
        let factor = -next.alpha * ((-step).exp() - 1.0);
        let direction = match previous {
            Some(previous) if !is_last => {
                let before = Level::of_ratio(self.sigmas[index - 1]);
                let ratio = (now.lambda() - before.lambda()) / step;
                original.clone() + (original.clone() - previous) * (0.5 / ratio)
            }
            _ => original.clone(),
        };
        let prev_sample = sample * (next.sigma / now.sigma) + direction * factor;
        StepOutput { prev_sample, pred_original_sample: original }
    }
}

/// Timesteps from the noisiest to the cleanest.
fn spread(spacing: TimestepSpacing, trained: usize, steps: usize, offset: usize, whole: bool) -> Vec<f64> {
    let mut timesteps: Vec<f64> = match spacing {
        TimestepSpacing::Linspace => {
            let even = linspace(0.0, (trained - 1) as f64, steps);
            even.into_iter().map(|t| if whole { t.round_ties_even() } else { t }).rev().collect()
        }
        TimestepSpacing::Leading => {
            let stride = trained / steps;
            (0..steps).rev().map(|i| (i * stride + offset) as f64).collect()
        }
        TimestepSpacing::Trailing => {
            let stride = trained as f64 / steps as f64;
            (0..steps).map(|i| (trained as f64 - i as f64 * stride).round_ties_even() - 1.0).collect()
        }
    };
    for timestep in &mut timesteps {
        *timestep = timestep.max(0.0);
    }
    timesteps
}

/// Karras et al. (2022), equation 5, with ρ = 7.
fn karras(largest: f64, smallest: f64, steps: usize) -> Vec<f64> {
    const RHO: f64 = 7.0;
    let (from, to) = (largest.powf(RHO.recip()), smallest.powf(RHO.recip()));
    linspace(0.0, 1.0, steps).into_iter().map(|ramp| (from + ramp * (to - from)).powf(RHO)).collect()
}

/// The timestep whose noise level this is, interpolated in the logarithm.
fn timestep_of(sigma: f64, sigmas: &[f64]) -> f64 {
    let log = sigma.max(1e-10).ln();
    let low = sigmas.partition_point(|&other| other.ln() <= log).saturating_sub(1).min(sigmas.len().saturating_sub(2));
    let (below, above) = (sigmas[low].ln(), sigmas[low + 1].ln());
    low as f64 + ((below - log) / (below - above)).clamp(0.0, 1.0)
}
