//! The parameters of a picture as one text, in the form that web UIs write and read back.

use crate::metadata::{joined, quoted};
use spec::{GenerateSpec, NoiseKind, SchedulerKind};

/// Prompt, negative prompt and one line of `Key: value` pairs.
///
/// The form is that of Stable Diffusion web UI's `infotext`; `scheduler` is the one that was really used.
pub fn infotext(spec: &GenerateSpec, scheduler: SchedulerKind, model: &str) -> String {
    infotext_with(spec, scheduler, model, &[])
}

/// The same with more pairs, for what a spec does not say.
pub fn infotext_with(spec: &GenerateSpec, scheduler: SchedulerKind, model: &str, more: &[(&str, String)]) -> String {
    let mut pairs = vec![
        format!("Steps: {}", spec.steps.get()),
        format!("Sampler: {}", scheduler.infotext_name()),
        format!("CFG scale: {}", spec.guidance.get()),
        format!("Seed: {}", spec.seed.0),
        format!("Size: {}x{}", spec.size.width(), spec.size.height()),
        format!("Model: {}", quoted(model)),
    ];
    if spec.guidance_rescale.get() > 0.0 {
        pairs.push(format!("CFG Rescale: {}", spec.guidance_rescale.get()));
    }
    if spec.clip_skip.get() > 1 {
        pairs.push(format!("Clip skip: {}", spec.clip_skip.get()));
    }
    if let Some(init) = spec.init {
        pairs.push(format!("Denoising strength: {}", init.strength.get()));
    }
    let source = match spec.noise {
        NoiseKind::Philox => "NV",
        NoiseKind::TorchCpu => "CPU",
    };
    pairs.push(format!("RNG: {source}"));
    pairs.push(format!("Version: darkroom {}", env!("CARGO_PKG_VERSION")));
    pairs.extend(more.iter().map(|(key, value)| format!("{key}: {}", quoted(value))));
    joined(&spec.prompt, &spec.negative_prompt, &pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_web_uis_text() {
        let spec: GenerateSpec = serde_json::from_str(
            r#"{"prompt":"a red apple","negative_prompt":"blurry","steps":12,"guidance":4.5,"seed":7,"size":[64,64],
                "init":{"strength":0.5}}"#,
        )
        .unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            infotext(&spec, spec::Solver::EulerAncestral.into(), "demo"),
            format!(
                "a red apple\nNegative prompt: blurry\nSteps: 12, Sampler: Euler a, CFG scale: 4.5, Seed: 7, Size: 64x64, \
                 Model: demo, Denoising strength: 0.5, RNG: NV, Version: darkroom {version}"
            )
        );
    }
}
