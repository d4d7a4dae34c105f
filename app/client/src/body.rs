//! A request as the body of `POST /v1/images`.

use api::request::{Censor, Delivery, ImageRequest, ImageSource, Task};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use spec::GenerateSpec;

/// A picture that travels inside the request.
pub fn inline_image(file: &[u8]) -> ImageSource {
    ImageSource::Base64(STANDARD.encode(file))
}

/// The file of a picture that travels as base64, as in previews; `None` when it is none.
pub fn file_of(base64: &str) -> Option<Vec<u8>> {
    STANDARD.decode(base64).ok()
}

/// The body that `/v1` reads back as this very request: everything that decides a picture is in it, so that the server's
/// defaults never do.
pub fn image_body(request: &ImageRequest) -> Value {
    let mut body = Map::new();
    match &request.task {
        Task::Generate { spec } => {
            put(&mut body, "task", "generate");
            put_spec(&mut body, spec);
        }
        Task::Edit { spec, image } => {
            put(&mut body, "task", "edit");
            put_spec(&mut body, spec);
            put(&mut body, "image", json!(image));
        }
        Task::Inpaint { spec, image, mask } => {
            put(&mut body, "task", "inpaint");
            put_spec(&mut body, spec);
            put(&mut body, "image", json!(image));
            put(&mut body, "mask", json!(mask));
        }
        Task::Upscale { image, factor } => {
            put(&mut body, "task", "upscale");
            put(&mut body, "image", json!(image));
            put(&mut body, "factor", *factor);
        }
        // The older dialect's alone; `/v1` says that it does not know them.
        Task::Crop { image } | Task::Check { image, .. } => {
            put(&mut body, "task", request.task.word());
            put(&mut body, "image", json!(image));
        }
    }
    if let Some(model) = &request.model {
        put(&mut body, "model", json!(model));
    }
    put_censor(&mut body, request.censor);
    if request.upscale > 1 {
        put(&mut body, "upscale", request.upscale);
    }
    put_delivery(&mut body, &request.delivery);
    Value::Object(body)
}

fn put(body: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    body.insert(name.to_owned(), value.into());
}

fn put_spec(body: &mut Map<String, Value>, spec: &GenerateSpec) {
    put(body, "prompt", spec.prompt.as_str());
    if !spec.negative_prompt.is_empty() {
        put(body, "negative_prompt", spec.negative_prompt.as_str());
    }
    put(body, "width", spec.size.width());
    put(body, "height", spec.size.height());
    put(body, "steps", spec.steps.get());
    put(body, "guidance", f64::from(spec.guidance));
    put(body, "guidance_rescale", f64::from(spec.guidance_rescale));
    if let Some(scheduler) = spec.scheduler {
        put(body, "scheduler", scheduler.to_string());
    }
    put(body, "seed", spec.seed.0);
    put(body, "noise", spec.noise.as_str());
    put(body, "clip_skip", spec.clip_skip.get());
    put(body, "samples", spec.batch.get());
    if let Some(init) = spec.init {
        put(body, "strength", f64::from(init.strength));
    }
}

fn put_censor(body: &mut Map<String, Value>, censor: Option<Censor>) {
    if let Some(censor) = censor {
        put(body, "censor", json!(censor));
    }
}

fn put_delivery(body: &mut Map<String, Value>, delivery: &Delivery) {
    // Requests of this API are always answered at once.
    let Delivery { base64, temporary, instant: _, webhook, track_id } = delivery;
    if *base64 {
        put(body, "base64", true);
    }
    if *temporary {
        put(body, "temporary", true);
    }
    if let Some(webhook) = webhook {
        put(body, "webhook", webhook.as_str());
    }
    if let Some(track_id) = track_id {
        put(body, "track_id", track_id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{
        BatchSize, ClipSkip, Guidance, GuidanceRescale, ImageSize, InitImageSpec, ModelId, NoiseKind, Seed, Solver,
        Steps, Strength,
    };

    fn spec() -> GenerateSpec {
        GenerateSpec {
            prompt: "a red apple".to_owned(),
            negative_prompt: String::new(),
            steps: Steps::new(4).unwrap(),
            guidance: Guidance::new(4.1).unwrap(),
            guidance_rescale: GuidanceRescale::new(0.7).unwrap(),
            scheduler: None,
            seed: Seed(u64::MAX),
            noise: NoiseKind::Philox,
            size: ImageSize::new(64, 128).unwrap(),
            clip_skip: ClipSkip::new(2).unwrap(),
            batch: BatchSize::new(3).unwrap(),
            init: None,
        }
    }

    fn request(task: Task) -> ImageRequest {
        let delivery = Delivery { instant: true, ..Delivery::default() };
        ImageRequest { task, model: None, censor: None, upscale: 1, delivery }
    }

    fn assert_reads_back(request: &ImageRequest) {
        let body = image_body(request).to_string();
        let fields = api::body::json(body.as_bytes()).unwrap();
        // A seed that the server would draw differs from the one that was sent.
        let read = api::v1::image_request(&fields, 5).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(&read, request);
    }

    #[test]
    fn the_server_reads_the_same_request_to_the_last_bit() {
        assert_reads_back(&request(Task::Generate { spec: spec() }));
        let spec = GenerateSpec {
            negative_prompt: "a cup".to_owned(),
            scheduler: Some(Solver::EulerAncestral.into()),
            noise: NoiseKind::TorchCpu,
            init: Some(InitImageSpec { strength: Strength::new(0.3).unwrap() }),
            ..spec()
        };
        let image = inline_image(&[1, 2, 3, 250]);
        assert_reads_back(&request(Task::Edit { spec: spec.clone(), image: image.clone() }));
        let mask = ImageSource::Upload("up_1".to_owned());
        let inpaint = request(Task::Inpaint { spec, image: image.clone(), mask });
        let delivery = Delivery {
            base64: true,
            temporary: true,
            instant: true,
            webhook: Some("https://example.com/hook".to_owned()),
            track_id: Some(json!({ "a": 1 })),
        };
        let model = Some(ModelId::new("demo").unwrap());
        assert_reads_back(&ImageRequest { model, censor: Some(Censor::Blur), upscale: 2, delivery, ..inpaint });
        assert_reads_back(&request(Task::Upscale { image, factor: 3 }));
    }
}
