//! A picture made of nothing, so that its shaders are compiled while the weights are on their way.

use super::{CancelToken, LoadOptions, Loading, ModelCard, ModelFiles, Observer, PipelineRequest};
use burn::tensor::Device;
use spec::{BatchSize, ClipSkip, GenerateSpec, Guidance, GuidanceRescale, ImageSize, NoiseKind, Seed, Steps};

/// Has a device compile what a picture of the model's own size takes; needs the files' headers and none of their weights.
///
/// Does nothing on a device without a queue. What is wrong with the files is told by loading them; here it is `false`. See
/// [`kernels::rehearse`] on what else goes on meanwhile.
pub async fn rehearse(files: &ModelFiles, device: &Device, options: LoadOptions, observer: &mut impl Observer) -> bool {
    if !kernels::is_queued(device) {
        return true;
    }
    let pass = async {
        let model = Loading::new(files, device, options).and_then(|loading| loading.rehearsing().finish()).ok()?;
        let request = PipelineRequest::from_spec(&usual(model.card())?, None);
        model.generate(request, observer, &CancelToken::default()).await.ok()
    };
    let is_whole = kernels::rehearse(pass).await.is_some();
    // The weights come next, and the activations of a whole picture are not needed before they are here.
    device.memory_cleanup();
    is_whole
}

/// What a visitor asks first.
fn usual(card: &ModelCard) -> Option<GenerateSpec> {
    let (width, height) = card.native_size.unwrap_or((512, 512));
    Some(GenerateSpec {
        prompt: String::new(),
        negative_prompt: String::new(),
        // Two, so that there is a preview and a step that follows another.
        steps: Steps::new(card.steps.unwrap_or(2).min(2)).ok()?,
        guidance: card.guidance.and_then(|guidance| Guidance::new(guidance).ok()).unwrap_or_default(),
        guidance_rescale: GuidanceRescale::default(),
        scheduler: None,
        seed: Seed::default(),
        noise: NoiseKind::Philox,
        size: ImageSize::new(width, height).ok()?,
        clip_skip: ClipSkip::default(),
        batch: BatchSize::default(),
        init: None,
    })
}
