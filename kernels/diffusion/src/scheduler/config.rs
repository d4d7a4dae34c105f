//! `scheduler/scheduler_config.json`.

use crate::config::ConfigError;
use serde::Deserialize;
use spec::{PredictionType, SchedulerKind, TimestepSpacing};

/// What a model expects of its scheduler; a field that the file leaves out takes the default of the reference's class.
#[derive(Debug, Clone, Deserialize)]
pub struct SchedulerConfig {
    /// The reference's class name.
    #[serde(default, rename = "_class_name")]
    pub class_name: Option<String>,
    /// Training timesteps.
    #[serde(default = "num_train_timesteps")]
    pub num_train_timesteps: usize,
    /// First beta.
    #[serde(default = "beta_start")]
    pub beta_start: f64,
    /// Last beta.
    #[serde(default = "beta_end")]
    pub beta_end: f64,
    /// `linear`, `scaled_linear` or `squaredcos_cap_v2`.
    #[serde(default = "beta_schedule")]
    pub beta_schedule: String,
    /// What the model predicts.
    #[serde(default = "epsilon")]
    pub prediction_type: PredictionType,
    /// How timesteps are spread; `None` takes the scheduler's own.
    #[serde(default)]
    pub timestep_spacing: Option<TimestepSpacing>,
    /// What is added to every timestep under leading spacing.
    #[serde(default)]
    pub steps_offset: usize,
    /// DDIM: whether the step past the first timestep has no noise left.
    #[serde(default = "yes")]
    pub set_alpha_to_one: bool,
    /// DDIM: whether the predicted picture is clamped.
    #[serde(default)]
    pub clip_sample: Option<bool>,
    /// DDIM: to what it is clamped.
    #[serde(default = "clip_sample_range")]
    pub clip_sample_range: f64,
    /// Whether the last timestep is rescaled to have no signal (Lin et al., 2023).
    #[serde(default)]
    pub rescale_betas_zero_snr: bool,
    /// Whether noise levels are Karras' (Karras et al., 2022).
    #[serde(default)]
    pub use_karras_sigmas: bool,
}

const fn num_train_timesteps() -> usize {
    1000
}
const fn beta_start() -> f64 {
    0.0001
}
const fn beta_end() -> f64 {
    0.02
}
fn beta_schedule() -> String {
    "linear".to_owned()
}
const fn epsilon() -> PredictionType {
    PredictionType::Epsilon
}
const fn clip_sample_range() -> f64 {
    1.0
}
const fn yes() -> bool {
    true
}

impl SchedulerConfig {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`ConfigError::Json`] when it is not such a file, [`ConfigError::OutOfRange`] for absurd numbers.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            serde_json::from_str(text).map_err(|source| ConfigError::Json { part: "scheduler", source })?;
        crate::config::check_range("scheduler", "num_train_timesteps", config.num_train_timesteps, 1, 100_000)?;
        Ok(config)
    }

    /// The scheduler that the file names, or DDIM for a class that is not built.
    pub fn kind(&self) -> SchedulerKind {
        match (self.class_name.as_deref(), self.use_karras_sigmas) {
            (Some("EulerDiscreteScheduler"), false) => SchedulerKind::Euler,
            (Some("EulerDiscreteScheduler"), true) => SchedulerKind::EulerKarras,
            (Some("EulerAncestralDiscreteScheduler"), _) => SchedulerKind::EulerAncestral,
            (Some("DPMSolverMultistepScheduler"), false) => SchedulerKind::DpmPlusPlus2M,
            (Some("DPMSolverMultistepScheduler"), true) => SchedulerKind::DpmPlusPlus2MKarras,
            _ => SchedulerKind::Ddim,
        }
    }

    /// How timesteps are spread for a scheduler.
    pub fn spacing(&self, kind: SchedulerKind) -> TimestepSpacing {
        self.timestep_spacing.unwrap_or(match kind {
            SchedulerKind::Ddim => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
        })
    }
}
