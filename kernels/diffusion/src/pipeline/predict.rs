//! What the denoiser says of latents, with guidance and everything that steers it.

use super::{
    PipelineRequest, StableDiffusion,
    conditioning::Guide,
    control::{ControlStep, Controls},
    panorama::Views,
    self_attention::Look,
};
use crate::{
    scheduler::Schedule,
    unet::{AttentionProbe, TokenMerger, Tweaks},
};
use burn::tensor::Tensor;

/// What the denoiser is given beside the latents.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// The prompts.
    pub(super) guide: &'a Guide,
    /// Networks that steer it.
    pub(super) controls: &'a Controls,
    /// Channels behind the latents.
    pub(super) beside: &'a Option<Tensor<4>>,
    /// What merges its tokens.
    pub(super) merger: Option<&'a TokenMerger>,
}

impl StableDiffusion {
    /// What the denoiser says of the latents, or of each view of them.
    pub(super) fn predict(
        &self,
        latents: &Tensor<4>,
        seen: &Seen<'_>,
        schedule: &Schedule,
        index: usize,
        request: &PipelineRequest,
    ) -> Tensor<4> {
        let Some(panorama) = request.switches.panorama else {
            return self.predict_view(latents, seen, schedule, index, request);
        };
        let [_, _, height, width] = latents.dims();
        let views = Views::new([height, width], panorama.circular);
        views.mean(latents.dims(), |start| {
            let beside = seen.beside.as_ref().map(|beside| views.crop(beside, start));
            let seen = Seen { beside: &beside, ..*seen };
            self.predict_view(&views.crop(latents, start), &seen, schedule, index, request)
        })
    }

    fn predict_view(
        &self,
        latents: &Tensor<4>,
        seen: &Seen<'_>,
        schedule: &Schedule,
        index: usize,
        request: &PipelineRequest,
    ) -> Tensor<4> {
        let timestep = schedule.timesteps()[index];
        let input = schedule.scale_model_input(latents.clone(), index);
        let [batch, ..] = input.dims();
        let Seen { guide: Guide { context, joined }, controls, beside, merger } = *seen;
        let is_guided = request.guidance.is_active() || joined.is_some();
        let bare = input.clone();
        let probe = request.switches.self_attention.map(|_| AttentionProbe::default());
        let tweaks = Tweaks::new(request.switches.freeu, merger, probe.as_ref());
        let residuals = controls.residuals(&ControlStep { input: &input, timestep, context, is_guided, index });
        let input = match beside {
            Some(beside) => {
                let [_, more, rows, columns] = beside.dims();
                Tensor::cat(vec![input, beside.clone().expand([batch, more, rows, columns])], 1)
            }
            None => input,
        };
        if !is_guided {
            let output = self.unet.forward_tweaked(input, &vec![timestep; batch], context, residuals.as_ref(), tweaks);
            return self.steered(
                output.clone(),
                output,
                &Look { probe: probe.as_ref(), context, latents, seen, schedule, index, request },
            );
        }
        let single = input.clone();
        let input = Tensor::cat(vec![input.clone(), input], 0);
        let output = self.unet.forward_tweaked(input, &vec![timestep; batch * 2], context, residuals.as_ref(), tweaks);
        let unconditional = output.clone().narrow(0, 0, batch);
        let mut conditional = output.narrow(0, batch, batch);
        if let Some(joined) = joined {
            conditional = joined.combine(&unconditional, conditional, |context| {
                let step = ControlStep { input: &bare, timestep, context, is_guided: false, index };
                let residuals = controls.residuals(&step);
                let tweaks = Tweaks::new(request.switches.freeu, merger, None);
                self.unet.forward_tweaked(single.clone(), &vec![timestep; batch], context, residuals.as_ref(), tweaks)
            });
        }
        let scale = if request.guidance.is_active() { f64::from(request.guidance.get()) } else { 1.0 };
        let guided = unconditional.clone() + (conditional.clone() - unconditional.clone()) * scale;
        let guided = match f64::from(request.guidance_rescale.get()) {
            0.0 => guided,
            share => rescale_guidance(guided, conditional, share),
        };
        let context = if probe.is_some() { context.unconditional() } else { context };
        self.steered(
            guided,
            unconditional,
            &Look { probe: probe.as_ref(), context, latents, seen, schedule, index, request },
        )
    }
}

/// Pulls the guided prediction's spread back towards the conditional one's (Lin et al., 2023, section 3.4).
fn rescale_guidance(guided: Tensor<4>, conditional: Tensor<4>, share: f64) -> Tensor<4> {
    let [batch, channels, height, width] = guided.dims();
    let spread = |input: Tensor<4>| {
        let flat = input.reshape([batch, channels * height * width]);
        flat.clone().sub(flat.mean_dim(1)).square().mean_dim(1).sqrt().reshape([batch, 1, 1, 1])
    };
    let rescaled = guided.clone() * (spread(conditional) / spread(guided.clone()));
    rescaled * share + guided * (1.0 - share)
}
