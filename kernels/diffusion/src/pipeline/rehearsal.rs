//! A picture made of nothing, so that its shaders are compiled while the weights are on their way.

use super::{CancelToken, Loading, ModelCard, Observer, PipelineRequest};
use spec::{BatchSize, ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, NoiseKind, Seed, Steps};

/// Pixels along the shorter side of a picture that stands for a larger one, at least.
const SMALLEST: u32 = 64;

/// Has a device compile what a picture of the model's own size takes; needs the files' headers and none of their weights.
///
/// Does nothing on a device without a queue. What is wrong with the files is told by loading them; here it is `false`. See
/// [`kernels::rehearse`] on what else goes on meanwhile. Memory that the device lent to it is the caller's to clean up, once the
/// device has done with it.
pub async fn rehearse(loading: &Loading<'_>, observer: &mut impl Observer) -> bool {
    if !kernels::is_queued(loading.device()) {
        return true;
    }
    let load = async { loading.rehearsing().finish() };
    let Ok(model) = kernels::rehearse(1, load).await else { return false };
    let Some((spec, shrunk)) = usual(model.card(), model.multiple as u32) else { return false };
    let request = PipelineRequest::from_spec(&spec, None);
    let cancel = CancelToken::default();
    kernels::rehearse(shrunk, model.generate(request, observer, &cancel)).await.is_ok()
}

/// What a visitor asks first, with its sides shrunk so many times: as far as they stay multiples of `multiple`.
fn usual(card: &ModelCard, multiple: u32) -> Option<(GenerateSpec, usize)> {
    let (width, height) = card.native_size.unwrap_or((512, 512));
    let fits = |shrunk: &u32| {
        let step = multiple * shrunk;
        width.is_multiple_of(step) && height.is_multiple_of(step) && width.min(height) / shrunk >= SMALLEST
    };
    let shrunk = [8, 4, 2].into_iter().find(fits).unwrap_or(1);
    let spec = GenerateSpec {
        prompt: String::new(),
        negative_prompt: String::new(),
        // Two, so that there is a preview and a step that follows another.
        steps: Steps::new(card.steps.unwrap_or(2).min(2)).ok()?,
        guidance: card.guidance.and_then(|guidance| Guidance::new(guidance).ok()).unwrap_or_default(),
        guidance_rescale: GuidanceRescale::default(),
        scheduler: None,
        seed: Seed::default(),
        noise: NoiseKind::Philox,
        size: ImageSize::new(width / shrunk, height / shrunk).ok()?,
        clip_skip: ClipSkip::default(),
        batch: BatchSize::default(),
        init: None,
    };
    Some((spec, shrunk as usize))
}
