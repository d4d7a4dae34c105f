//! `scheduler/scheduler_config.json`.

use crate::config::ConfigError;
use serde::Deserialize;
use serde_json::{Value, json};
use spec::{PredictionType, SchedulerKind, SigmaSpacing, Solver, TimestepSpacing};

/// What a model expects of its scheduler; a field that the file leaves out takes the default of the reference's class.
#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file has them one by one")]
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
    /// DDIM, PNDM: whether the step past the first timestep has no noise left; `None` takes the scheduler's own.
    #[serde(default)]
    pub set_alpha_to_one: Option<bool>,
    /// Whether the predicted picture is clamped; `None` takes the scheduler's own.
    #[serde(default)]
    pub clip_sample: Option<bool>,
    /// To what it is clamped.
    #[serde(default = "one")]
    pub clip_sample_range: f64,
    /// Whether the last timestep is rescaled to have no signal (Lin et al., 2023).
    #[serde(default)]
    pub rescale_betas_zero_snr: bool,
    /// Whether noise levels are Karras' (Karras et al., 2022).
    #[serde(default)]
    pub use_karras_sigmas: bool,
    /// Whether they are even in the logarithm.
    #[serde(default)]
    pub use_exponential_sigmas: bool,
    /// Whether they are quantiles of a beta distribution.
    #[serde(default)]
    pub use_beta_sigmas: bool,
    /// Whether they are even in the logarithm of signal to noise.
    #[serde(default)]
    pub use_lu_lambdas: bool,
    /// Whether they are those of a straight path, for solvers that can walk one.
    #[serde(default)]
    pub use_flow_sigmas: bool,
    /// How far such levels are shifted towards noise.
    #[serde(default = "one")]
    pub flow_shift: f64,
    /// The same for the solver that walks nothing else.
    #[serde(default = "one")]
    pub shift: f64,
    /// What is left after the last step: `zero`, or `sigma_min` for the first training timestep's noise.
    #[serde(default)]
    pub final_sigmas_type: Option<String>,
    /// DPM-Solver: `dpmsolver++` or `sde-dpmsolver++`.
    #[serde(default)]
    pub algorithm_type: Option<String>,
    /// DPM-Solver, UniPC, DEIS: the order, from 1 to 3.
    #[serde(default)]
    pub solver_order: Option<usize>,
    /// DPM-Solver: `midpoint` or `heun`; UniPC: `bh1` or `bh2`.
    #[serde(default)]
    pub solver_type: Option<String>,
    /// Whether the last steps of a short run are of lower order; `None` takes the scheduler's own.
    #[serde(default)]
    pub lower_order_final: Option<bool>,
    /// Whether the last step is of first order at any length.
    #[serde(default)]
    pub euler_at_final: bool,
    /// PNDM: whether it starts without Runge-Kutta steps.
    #[serde(default)]
    pub skip_prk_steps: Option<bool>,
    /// DDPM: how much noise each step draws.
    #[serde(default)]
    pub variance_type: Option<String>,
    /// LCM, TCD: the steps that the model was distilled from.
    #[serde(default = "original_inference_steps")]
    pub original_inference_steps: usize,
    /// LCM: how fast its boundary condition is left.
    #[serde(default = "timestep_scaling")]
    pub timestep_scaling: f64,
    /// DDIM: the share of an ancestral step's noise, 0 unless said; TCD: its stochastic strength, 0.3 unless said.
    #[serde(default)]
    pub eta: Option<f64>,
}

/// What a run may ask of a scheduler beyond its name.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SchedulerOptions {
    /// The share of noise where a scheduler has one, from 0 to 1; `None` takes its own. See [`SchedulerConfig::eta`].
    pub eta: Option<f64>,
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
const fn one() -> f64 {
    1.0
}
const fn original_inference_steps() -> usize {
    50
}
const fn timestep_scaling() -> f64 {
    10.0
}

/// The fields whose default a class has for itself.
fn class_defaults(class: &str) -> Value {
    match class {
        "LCMScheduler" | "TCDScheduler" => {
            json!({ "beta_start": 0.000_85, "beta_end": 0.012, "beta_schedule": "scaled_linear" })
        }
        "HeunDiscreteScheduler"
        | "KDPM2DiscreteScheduler"
        | "KDPM2AncestralDiscreteScheduler"
        | "DPMSolverSDEScheduler" => json!({ "beta_start": 0.000_85, "beta_end": 0.012 }),
        "FlowMatchEulerDiscreteScheduler" => json!({ "prediction_type": "flow_prediction" }),
        _ => Value::Null,
    }
}

impl SchedulerConfig {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`ConfigError::Json`] when it is not such a file, [`ConfigError::OutOfRange`] for absurd numbers.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let json = |source| ConfigError::Json { part: "scheduler", source };
        let mut value: Value = serde_json::from_str(text).map_err(json)?;
        if let Some(fields) = value.as_object_mut() {
            // Files write what they do not set as null.
            fields.retain(|_, value| !value.is_null());
            let class = fields.get("_class_name").and_then(Value::as_str).unwrap_or_default();
            if let Value::Object(defaults) = class_defaults(class) {
                for (name, default) in defaults {
                    fields.entry(name).or_insert(default);
                }
            }
        }
        let config: Self = serde_json::from_value(value).map_err(json)?;
        crate::config::check_range("scheduler", "num_train_timesteps", config.num_train_timesteps, 1, 100_000)?;
        let order = config.solver_order.unwrap_or(2);
        crate::config::check_range("scheduler", "solver_order", order, 1, 3)?;
        let distilled = config.original_inference_steps;
        crate::config::check_range("scheduler", "original_inference_steps", distilled, 1, config.num_train_timesteps)?;
        Ok(config)
    }

    /// The scheduler that the file names, or DDIM for a class that is not built.
    pub fn kind(&self) -> SchedulerKind {
        let class = self.class_name.as_deref().unwrap_or("DDIMScheduler");
        let named = class.parse().map_or(Solver::Ddim, SchedulerKind::solver);
        let solver = match (named, self.algorithm_type.as_deref(), self.solver_type.as_deref(), self.solver_order) {
            (Solver::DpmPlusPlus2M, Some("sde-dpmsolver++"), _, Some(3)) => Solver::DpmPlusPlus3MSde,
            (Solver::DpmPlusPlus2M, Some("sde-dpmsolver++"), Some("heun"), _) => Solver::DpmPlusPlus2MSdeHeun,
            (Solver::DpmPlusPlus2M, Some("sde-dpmsolver++"), ..) => Solver::DpmPlusPlus2MSde,
            (other, ..) => other,
        };
        let spacing = [
            (self.use_karras_sigmas, SigmaSpacing::Karras),
            (self.use_lu_lambdas, SigmaSpacing::Lu),
            (self.use_exponential_sigmas, SigmaSpacing::Exponential),
            (self.use_beta_sigmas, SigmaSpacing::Beta),
        ];
        let used = spacing.into_iter().find_map(|(is_used, spacing)| is_used.then_some(spacing));
        SchedulerKind::new(solver, used.unwrap_or(SigmaSpacing::Default))
    }

    /// The same with a run's wishes.
    #[must_use]
    pub fn with(&self, options: SchedulerOptions) -> Self {
        Self { eta: options.eta.or(self.eta), ..self.clone() }
    }

    /// How timesteps are spread for a scheduler.
    pub fn spacing(&self, kind: SchedulerKind) -> TimestepSpacing {
        match (kind.spacing(), kind.solver()) {
            (SigmaSpacing::SgmUniform, _) => return TimestepSpacing::Trailing,
            // The reference's class knows no other.
            (_, Solver::DpmPlusPlus2S) => return TimestepSpacing::Linspace,
            _ => {}
        }
        self.timestep_spacing.unwrap_or(match kind.solver() {
            Solver::Ddim | Solver::Ddpm | Solver::Pndm => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
        })
    }

    /// The most that a predicted picture may be, where it is clamped; some classes do unless their file says no.
    pub(super) fn clip(&self, is_usual: bool) -> Option<f64> {
        self.clip_sample.unwrap_or(is_usual).then_some(self.clip_sample_range)
    }

    /// Whether some noise is left at the end.
    pub(super) fn ends_noisy(&self) -> bool {
        self.final_sigmas_type.as_deref() == Some("sigma_min")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> String {
        SchedulerConfig::from_json(text).unwrap().kind().to_string()
    }

    #[test]
    fn classes_and_their_options_name_the_scheduler() {
        for (text, expected) in [
            (r#"{"_class_name":"PNDMScheduler","skip_prk_steps":true}"#, "pndm"),
            (r#"{"_class_name":"EulerDiscreteScheduler","use_exponential_sigmas":true}"#, "euler-exponential"),
            (r#"{"_class_name":"EulerDiscreteScheduler","use_beta_sigmas":true}"#, "euler-beta"),
            (r#"{"_class_name":"DPMSolverMultistepScheduler"}"#, "dpmpp-2m"),
            (r#"{"_class_name":"DPMSolverMultistepScheduler","use_lu_lambdas":true}"#, "dpmpp-2m-lu"),
            (
                r#"{"_class_name":"DPMSolverMultistepScheduler","algorithm_type":"sde-dpmsolver++","use_karras_sigmas":true}"#,
                "dpmpp-2m-sde-karras",
            ),
            (r#"{"_class_name":"DPMSolverSinglestepScheduler"}"#, "dpmpp-2s"),
            (r#"{"_class_name":"KDPM2AncestralDiscreteScheduler"}"#, "dpm2-a"),
            (r#"{"_class_name":"DPMSolverSDEScheduler","use_karras_sigmas":true}"#, "dpmpp-sde-karras"),
            (r#"{"_class_name":"FlowMatchEulerDiscreteScheduler","shift":3.0}"#, "flow-euler"),
            (r#"{"_class_name":"SomethingNewScheduler"}"#, "ddim"),
            ("{}", "ddim"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn a_class_has_defaults_of_its_own_and_null_is_no_value() {
        let config = SchedulerConfig::from_json(r#"{"_class_name":"LCMScheduler","trained_betas":null}"#).unwrap();
        assert_eq!((config.beta_start, config.beta_schedule.as_str()), (0.000_85, "scaled_linear"));
        let config = SchedulerConfig::from_json(r#"{"_class_name":"LCMScheduler","beta_schedule":"linear"}"#).unwrap();
        assert_eq!(config.beta_schedule, "linear");
        let error = SchedulerConfig::from_json(r#"{"solver_order":7}"#).unwrap_err().to_string();
        assert!(error.contains("solver_order"), "{error}");
    }
}
