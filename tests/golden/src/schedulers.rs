//! Cases of schedulers alone.

use crate::{
    Comparison,
    cases::Bench,
    tensors::{numbers, tensor},
};
use anyhow::Result;
use diffusion::{
    noise::NoiseSeed,
    scheduler::{BrownianTree, Schedule, SchedulerConfig},
};
use spec::{NoiseKind, SchedulerKind};

impl Bench<'_> {
    /// The stand-in for the model is `sample * t / (t + 1)` of the scaled input, as in the script that recorded it.
    pub(crate) async fn scheduler(
        &self,
        kind: SchedulerKind,
        config: &serde_json::Value,
        steps: usize,
    ) -> Result<Vec<Comparison>> {
        let config = SchedulerConfig::from_json(&config.to_string())?;
        let is_named = config.class_name.is_none() || config.kind() == kind;
        anyhow::ensure!(is_named, "the configuration is taken for {}", config.kind());
        let mut schedule = Schedule::new(kind, &config, steps)?;
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let mut compared = Vec::new();
        let mut plain = |name: &str, computed: &[f64]| -> Result<()> {
            let recorded = numbers(&self.recorded, name)?;
            compared.push(Comparison::of(name, &single(computed), &recorded, self.tolerance));
            Ok(())
        };
        plain("timesteps", schedule.timesteps())?;
        plain("init_noise_sigma", &[schedule.init_noise_sigma()])?;
        if self.recorded.contains_key("sigmas") {
            plain("sigmas", schedule.sigmas())?;
        }

        let trajectory = numbers(&self.recorded, "trajectory")?;
        let init = tensor::<4>(&self.recorded, "init", self.device)?;
        let size = init.dims().iter().product();
        let mut sample = init * schedule.init_noise_sigma();
        let mut drawn = 0;
        for (index, recorded) in trajectory.chunks_exact(size).enumerate() {
            let timestep = schedule.timesteps()[index];
            let output = schedule.scale_model_input(sample.clone(), index) * (timestep / (timestep + 1.0));
            let draw = || tensor(&self.recorded, &format!("noise_{drawn:02}"), self.device);
            let noise = schedule.draws_noise(index).then(draw).transpose()?;
            drawn += usize::from(noise.is_some());
            sample = schedule.step(output, index, sample, noise).prev_sample;
            let computed = crate::values(sample.clone()).await?;
            compared.push(Comparison::of(format!("step {index}"), &computed, recorded, self.tolerance));
        }
        anyhow::ensure!(schedule.steps() == steps, "{} steps are not {steps}", schedule.steps());
        let evaluations = schedule.timesteps().len();
        anyhow::ensure!(trajectory.len() == evaluations * size, "the trajectory has not {evaluations} evaluations");
        anyhow::ensure!(
            !self.recorded.contains_key(&format!("noise_{drawn:02}")),
            "more than {drawn} noises are drawn"
        );
        Ok(compared)
    }

    /// Each tensor `seedS` has one row for each of `spans`.
    pub(crate) fn brownian(&self) -> Result<Vec<Comparison>> {
        let exact = |name: &str| -> Result<Vec<f64>> {
            let raw = self.recorded.get(name).ok_or_else(|| anyhow::anyhow!("no `{name}` is recorded"))?;
            Ok(raw.bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
        };
        let (span, spans) = (exact("span")?, exact("spans")?);
        let seeds = self.recorded.keys().filter_map(|name| Some((name, name.strip_prefix("seed")?.parse().ok()?)));
        seeds
            .map(|(name, seed)| {
                let recorded = numbers(&self.recorded, name)?;
                let count = recorded.len() / (spans.len() / 2);
                let seed = NoiseSeed { kind: NoiseKind::TorchCpu, seed };
                let tree = BrownianTree::new(seed, span[0], span[1], count);
                let moved: Vec<f32> = spans.chunks_exact(2).flat_map(|ends| tree.increment(ends[0], ends[1])).collect();
                Ok(Comparison::of(name, &moved, &recorded, self.tolerance))
            })
            .collect()
    }
}
