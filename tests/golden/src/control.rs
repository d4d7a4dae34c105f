//! Cases of networks that steer.

use crate::{Comparison, ControlRun, Run, cases::Bench, cases::request, tensors::tensor};
use anyhow::Result;
use diffusion::pipeline::{Control, LoadOptions, PipelineRequest, StableDiffusion};
use std::sync::Arc;

impl Bench<'_> {
    pub(crate) async fn controlnet(&self, model: &str, run: &Run, controls: &[ControlRun]) -> Result<Vec<Comparison>> {
        let pipeline = StableDiffusion::load(&self.data.model(model)?, self.device, LoadOptions::default())?;
        let controls = controls.iter().map(|control| {
            let ControlRun { weight, start, end, guess_mode, .. } = *control;
            let net = Arc::new(self.data.controlnet(&control.folder)?.load(self.device, false)?);
            let picture = tensor(&self.recorded, &control.picture, self.device)?;
            Ok(Control { weight, start, end, guess_mode, ..Control::new(net, picture) })
        });
        let controls = controls.collect::<Result<_>>()?;
        let latents = Some(tensor(&self.recorded, "latents", self.device)?);
        self.generated(&pipeline, PipelineRequest { latents, controls, ..request(run)? }).await
    }
}
