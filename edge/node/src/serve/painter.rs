//! Runs of the real models.

use super::{
    compute::{Engine, Failure, Paint},
    log,
    models::{Missing, Models},
    observer::BatchObserver,
};
use diffusion::{
    noise::Noise,
    picture::Picture,
    pipeline::{CancelToken, GenerateError, PipelineRequest},
    prompt::{ExtraNetwork, take_networks},
};
use spec::{ModelId, SchedulerKind};

/// Paints with the models of a folder.
pub struct Painter {
    models: Models,
}

impl Painter {
    /// With these models.
    pub const fn new(models: Models) -> Self {
        Self { models }
    }
}

impl Engine for Painter {
    fn paint(
        &mut self,
        batch: &[&Paint],
        observer: &mut BatchObserver,
        cancel: &CancelToken,
    ) -> Result<Vec<(Vec<Picture>, SchedulerKind)>, Failure> {
        let Some(first) = batch.first() else { return Ok(Vec::new()) };
        observer.loading();
        let device = self.models.device().clone();
        let has_networks = self.models.has_loras();
        let networks = if has_networks { networks_of(&first.spec.prompt)? } else { Vec::new() };
        let model = self.models.get(&first.model, &networks).map_err(|missing| failure_of(&missing, &first.model))?;
        let scheduler = first.spec.scheduler.unwrap_or_else(|| model.default_scheduler());
        let mut request = joined(batch, &device);
        request.prompting.has_networks = has_networks;
        let made = pollster::block_on(model.generate(request, observer, cancel)).map_err(failure)?;
        let mut pictures = made.pictures.into_iter();
        let parts =
            batch.iter().map(|paint| (pictures.by_ref().take(paint.spec.batch.get() as usize).collect(), scheduler));
        Ok(parts.collect())
    }

    fn forget(&mut self, model: &ModelId) {
        self.models.forget(model);
    }
}

/// What a prompt asks for beside its words.
fn networks_of(prompt: &str) -> Result<Vec<ExtraNetwork>, Failure> {
    take_networks(prompt).map(|(_, networks)| networks).map_err(|error| Failure::Refused(error.to_string()))
}

/// One run for all of them.
fn joined(batch: &[&Paint], device: &burn::tensor::Device) -> PipelineRequest {
    let mut requests = batch.iter().map(|paint| {
        let init = paint.init.as_ref().map(|picture| (picture, device));
        let mut request = PipelineRequest::from_spec(&paint.spec, init);
        if let (Some(init), Some(mask)) = (&mut request.init, &paint.mask) {
            init.mask = Some(mask.to_mask(device));
        }
        request
    });
    let mut whole = requests.next().expect("a batch has a job");
    for request in requests {
        whole.prompts.extend(request.prompts);
        whole.negative_prompts.extend(request.negative_prompts);
        whole.noise = Noise::join([whole.noise, request.noise]);
    }
    whole
}

fn failure_of(missing: &Missing, model: &ModelId) -> Failure {
    let model = model.as_str();
    match missing {
        Missing::Unknown => Failure::Refused(format!("there is no model `{model}` on this node")),
        Missing::TooLarge { needed_mb, budget_mb } => Failure::Refused(format!(
            "the model `{model}` needs {needed_mb} MB of memory where this node may take {budget_mb}; take a smaller one"
        )),
        Missing::Lora(sentence) => Failure::Refused(sentence.clone()),
        Missing::Broken(error) => {
            log::error("a model could not be loaded", &[("model", model.into()), ("why", format!("{error:#}").into())]);
            Failure::Failed(format!("the model `{model}` could not be loaded on this node"))
        }
    }
}

fn failure(error: GenerateError) -> Failure {
    match error {
        GenerateError::Cancelled => Failure::Cancelled,
        GenerateError::Prompt(_)
        | GenerateError::Scheduler(_)
        | GenerateError::Size { .. }
        | GenerateError::Shape { .. }
        | GenerateError::Control { .. }
        | GenerateError::Switch { .. }
        | GenerateError::Combination { .. } => Failure::Refused(error.to_string()),
        GenerateError::Device(error) => {
            log::error("the device failed", &[("why", format!("{error:?}").into())]);
            Failure::Failed(
                "the node's device failed, perhaps for want of memory; a smaller picture may work".to_owned(),
            )
        }
    }
}
