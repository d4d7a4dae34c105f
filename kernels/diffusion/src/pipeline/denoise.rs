//! From a request to finished latents.

use super::{
    CancelToken, GenerateError, Observer, PipelineRequest, StableDiffusion,
    conditioning::Conditioning,
    control::Controls,
    masked::Unmasked,
    predict::Seen,
    run::{Pictures, Run, Step},
    start::Start,
};
use crate::{
    nn::Seamless,
    noise::Noise,
    scheduler::{Schedule, StepNoiseSampler},
    vae::TilingMode,
};
use burn::tensor::Tensor;
use spec::Phase;

/// A run before its pictures are decoded.
pub(super) struct Denoised {
    /// Finished latents.
    pub(super) latents: Tensor<4>,
    /// What must not change.
    pub(super) unmasked: Option<Unmasked>,
    /// Where the next noise comes from.
    pub(super) noise: Noise,
    /// When the pictures are decoded in tiles.
    pub(super) tiling: TilingMode,
    /// Whether their right edge goes on at the left one.
    pub(super) is_circular: bool,
    /// Axes along which their edges go on at the opposite ones.
    pub(super) seamless: Seamless,
}

impl StableDiffusion {
    /// Everything up to finished latents.
    pub(super) async fn denoise(
        &self,
        request: PipelineRequest,
        observer: &mut impl Observer,
        cancel: &CancelToken,
    ) -> Result<Denoised, GenerateError> {
        let mut request = request;
        self.check(&request)?;
        let kind = request.scheduler.unwrap_or_else(|| self.scheduler.kind());
        let config = self.scheduler.with(request.scheduler_options);
        let mut schedule = Schedule::new(kind, &config, request.steps.get() as usize)?;

        let mut run = Run::new(observer, cancel);
        run.begin(Phase::Text, 1).await?;
        let mut conditioning = Conditioning::new(self, &request)?;
        run.step(1).await?;

        let seamless = request.switches.seamless;
        let Start { mut latents, first, unmasked, beside } = seamless.within(|| self.start(&mut request, &schedule));
        let evaluations = schedule.timesteps().len();
        let before = first.checked_sub(1).map_or(0, |index| schedule.steps_done(index));
        let of = if first < evaluations { (schedule.steps() - before) as u32 } else { 0 };
        run.begin(Phase::Denoising, of).await?;
        let merger = request.switches.merger();
        let controls = std::mem::take(&mut request.controls);
        let controls = seamless.within(|| Controls::new(controls, first, evaluations));
        let mut step_noise = StepNoiseSampler::new(&schedule, &request.noise);
        let shape = self.latent_shape(&request);
        let mut done = 0;
        for index in first..evaluations {
            let noise = step_noise.draw(&schedule, index, &mut request.noise, shape, &self.device);
            // Some schedules ask the denoiser more than once for a step that a user counts.
            let counted = done as usize + 1;
            let seen = Seen {
                guide: conditioning.guide(counted),
                controls: &controls,
                beside: &beside,
                merger: merger.as_ref(),
            };
            let output = seamless.within(|| self.predict(&latents, &seen, &schedule, index, &request));
            let stepped = schedule.step(output, index, latents, noise);
            latents = match &unmasked {
                Some(unmasked) => unmasked.put_back(stepped.prev_sample, &schedule, index + 1),
                None => stepped.prev_sample,
            };
            let number = (schedule.steps_done(index) - before) as u32;
            // A step may take several evaluations; it is over with the last.
            if number == done {
                continue;
            }
            done = number;
            let is_shown = run.wants_preview(number);
            let pictures = || self.previewer.pictures(stepped.pred_original_sample, &self.vae);
            let preview = is_shown.then(|| -> Pictures<'_> { Box::pin(pictures()) });
            run.report(Step::queue(number, &latents, preview).await, kernels::is_queued(&self.device)).await?;
        }
        run.finish_queued().await?;

        let is_circular = request.switches.is_circular();
        Ok(Denoised { latents, unmasked, noise: request.noise, tiling: request.vae_tiling, is_circular, seamless })
    }
}
