//! The noise of every training timestep.

use super::{SchedulerConfig, SchedulerError};

/// `ᾱ` of every training timestep: the share of signal in its square.
#[derive(Debug, Clone)]
pub struct NoiseTable {
    alphas_cumprod: Vec<f64>,
}

impl NoiseTable {
    /// Computes the table of a configuration.
    ///
    /// # Errors
    /// [`SchedulerError::BetaSchedule`] for a schedule that is not known.
    pub fn new(config: &SchedulerConfig) -> Result<Self, SchedulerError> {
        let count = config.num_train_timesteps;
        let (start, end) = (config.beta_start, config.beta_end);
        let betas = match config.beta_schedule.as_str() {
            "linear" => linspace(start, end, count),
            "scaled_linear" => linspace(start.sqrt(), end.sqrt(), count).into_iter().map(|beta| beta * beta).collect(),
            "squaredcos_cap_v2" => cosine_betas(count),
            other => return Err(SchedulerError::BetaSchedule(other.to_owned())),
        };
        let mut product = 1.0;
        let mut alphas_cumprod: Vec<f64> = betas
            .into_iter()
            .map(|beta| {
                product *= 1.0 - beta;
                product
            })
            .collect();
        if config.rescale_betas_zero_snr {
            rescale_zero_terminal_snr(&mut alphas_cumprod);
        }
        Ok(Self { alphas_cumprod })
    }

    /// `ᾱ` at a timestep, clamped to the table.
    pub fn alpha_cumprod(&self, timestep: usize) -> f64 {
        self.alphas_cumprod[timestep.min(self.alphas_cumprod.len() - 1)]
    }

    /// `ᾱ` at a timestep that may lie before the first, where it is `last`.
    pub(super) fn alpha_cumprod_before(&self, timestep: f64, last: f64) -> f64 {
        if timestep < 0.0 { last } else { self.alpha_cumprod(timestep as usize) }
    }

    /// `sqrt((1 - ᾱ) / ᾱ)` of every timestep; never infinite, by the reference's own bound.
    pub fn sigmas(&self) -> Vec<f64> {
        // 2^-24, the smallest positive half-precision number, keeps the first sigma of a zero-SNR table finite.
        self.alphas_cumprod
            .iter()
            .map(|&alpha| alpha.max(2f64.powi(-24)))
            .map(|alpha| ((1.0 - alpha) / alpha).sqrt())
            .collect()
    }
}

/// Algorithm 1 of Lin et al. (2023): the last timestep keeps no signal, the first keeps what it had.
fn rescale_zero_terminal_snr(alphas_cumprod: &mut [f64]) {
    let first = alphas_cumprod[0].sqrt();
    let last = alphas_cumprod[alphas_cumprod.len() - 1].sqrt();
    for alpha in alphas_cumprod {
        let root = (alpha.sqrt() - last) * first / (first - last);
        *alpha = root * root;
    }
}

/// Nichol and Dhariwal (2021), capped at 0.999.
fn cosine_betas(count: usize) -> Vec<f64> {
    let bar = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    (0..count).map(|i| (1.0 - bar((i + 1) as f64 / count as f64) / bar(i as f64 / count as f64)).min(0.999)).collect()
}

/// `count` numbers from `start` to `end`, both included.
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    if count == 1 {
        return vec![start];
    }
    (0..count).map(|i| start + (end - start) * i as f64 / (count - 1) as f64).collect()
}

/// Linear interpolation in a table indexed by whole numbers, clamped to its ends.
pub(super) fn interpolate(table: &[f64], at: f64) -> f64 {
    let last = table.len() - 1;
    let at = at.clamp(0.0, last as f64);
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    table[low] + (table[high] - table[low]) * (at - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_schedule_divides_real_numbers() {
        let betas = cosine_betas(1000);
        assert!((betas[0] - 4.128e-5).abs() < 1e-7, "{}", betas[0]);
        assert!(betas.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!((betas[999] - 0.999).abs() < 1e-12);
    }

    #[test]
    fn zero_snr_leaves_no_signal_at_the_end_and_all_of_it_at_the_start() {
        let mut alphas = vec![0.99, 0.5, 0.01];
        rescale_zero_terminal_snr(&mut alphas);
        assert!((alphas[0] - 0.99).abs() < 1e-12 && alphas[2].abs() < 1e-12, "{alphas:?}");
    }

    #[test]
    fn an_unknown_schedule_is_named() {
        let config = SchedulerConfig::from_json(r#"{"beta_schedule":"wobbly"}"#).unwrap();
        assert!(NoiseTable::new(&config).unwrap_err().to_string().contains("`wobbly`"));
    }
}
