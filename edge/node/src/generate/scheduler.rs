//! The flags that choose a scheduler.

use super::recipe::Recipe;
use anyhow::Result as AnyResult;
use clap::Args;
use diffusion::scheduler::SchedulerOptions;
use spec::{SchedulerKind, SpecError};

/// How the noise is taken away.
#[derive(Debug, Args)]
pub struct SchedulerArgs {
    /// Scheduler by its own name, as a web UI's sampler or as a class of diffusers: dpmpp-2m-karras, "DPM++ 2M Karras",
    /// `UniPCMultistepScheduler`; a wrong name lists all of ours [default: the model's]
    #[arg(long, value_name = "NAME")]
    scheduler: Option<SchedulerKind>,
    /// Noise levels that it visits, as web UIs' schedule types: karras, exponential, beta, sgm-uniform, …, automatic
    #[arg(long, value_name = "SPACING", requires = "scheduler")]
    schedule_type: Option<String>,
    /// Share of fresh noise of ddim (0 when nothing is said) or strength of tcd (0.3), 0 to 1
    #[arg(long, value_parser = share, allow_negative_numbers = true)]
    eta: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

const ETA: &str = "Eta";

impl SchedulerArgs {
    /// Fills what no flag said by what a picture says.
    pub fn restore(&mut self, recipe: &Recipe) -> AnyResult<()> {
        recipe.restore(&mut self.eta, ETA, |text| share(text).map_err(anyhow::Error::msg))
    }

    /// What web UIs write of it.
    pub fn infotext(&self) -> Vec<String> {
        self.eta.iter().map(|eta| format!("{ETA}: {eta}")).collect()
    }

    /// The scheduler at the noise levels that were asked for.
    ///
    /// # Errors
    /// [`SpecError::Unknown`] for a schedule type that is not known.
    pub fn kind(&self) -> Result<Option<SchedulerKind>, SpecError> {
        let Some(scheduler) = self.scheduler else { return Ok(None) };
        SchedulerKind::from_web_ui(&scheduler.to_string(), self.schedule_type.as_deref()).map(Some)
    }

    /// What it is told beyond its name.
    pub const fn options(&self) -> SchedulerOptions {
        SchedulerOptions { eta: self.eta }
    }
}
