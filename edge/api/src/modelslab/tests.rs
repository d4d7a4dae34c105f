//! Bodies as real clients send them, and answers as they read them.

use super::*;
use crate::{
    body::{Fields, form, json as read},
    fields::FieldError,
    request::{Censor, ImageRequest, ImageSource, Task},
};
use serde_json::{Value, json};
use spec::{GenerateSpec, SchedulerKind};

fn fields(body: &Value) -> Fields {
    read(body.to_string().as_bytes()).expect("a JSON object")
}

fn parsed(operation: Operation, family: Family, body: &Value) -> Result<ImageRequest, Vec<FieldError>> {
    image_request(operation, family, &fields(body), 7)
}

fn spec(request: &ImageRequest) -> &GenerateSpec {
    match &request.task {
        Task::Generate { spec } | Task::Edit { spec, .. } | Task::Inpaint { spec, .. } => spec,
        Task::Upscale { .. } => panic!("an enlargement has none"),
    }
}

/// What the first documentation shows: every number a string, every switch yes or no.
#[test]
fn the_oldest_examples_mean_what_they_meant() {
    let body = json!({
        "key": "", "prompt": "a red apple", "negative_prompt": null, "width": "512", "height": "768", "samples": "2",
        "num_inference_steps": "20", "safety_checker": "no", "enhance_prompt": "no", "seed": null, "guidance_scale": 7.5,
        "multi_lingual": "no", "panorama": "no", "self_attention": "no", "upscale": "no", "embeddings_model": null,
        "webhook": null, "track_id": null, "tomesd": "yes", "free_u": "no",
    });
    let request = parsed(Operation::TextToImage, Family::Single, &body).expect("a request");
    let spec = spec(&request);
    assert_eq!((spec.size.width(), spec.size.height(), spec.batch.get(), spec.steps.get()), (512, 768, 2, 20));
    assert_eq!((spec.prompt.as_str(), spec.negative_prompt.as_str(), spec.seed.0), ("a red apple", "", 7));
    assert_eq!((request.model, request.censor, request.upscale), (None, None, 1));
}

#[test]
fn newer_names_and_types_are_the_same_request() {
    let body = json!({
        "model_id": "midjourney", "prompt": "x", "enhance_prompt": false, "width": 515, "height": 512.0, "steps": 31, "clipskip": "2",
        "seed": "123", "guidance": "3", "safetychecker": true, "safety_checker_type": "pixelate", "base64": "true", "temp": "yes",
        "scheduler": "DPMSolverMultistepScheduler", "use_karras_sigmas": "no", "upscale": "3", "track_id": 12,
        "webhook": "https://example.com/hook", "lora_model": "", "vae": "none", "algorithm_type": "none", "unheard_of": [1],
    });
    let request = parsed(Operation::TextToImage, Family::Community, &body).expect("a request");
    let spec = spec(&request);
    assert_eq!(spec.size.width(), 512, "down to the grid");
    assert_eq!((spec.steps.get(), spec.clip_skip.get(), spec.seed.0), (31, 2, 123));
    assert_eq!(spec.scheduler, Some(SchedulerKind::DpmPlusPlus2M));
    assert_eq!(request.model.as_ref().map(spec::ModelId::as_str), Some("midjourney"));
    assert_eq!((request.censor, request.upscale), (Some(Censor::Pixelate), 3));
    assert!(request.delivery.base64 && request.delivery.temporary && !request.delivery.instant);
    assert_eq!(request.delivery.track_id, Some(json!(12)));

    let form = form(b"prompt=x&enhance_prompt=no&width=256&height=256&samples=1").expect("a form");
    let request = image_request(Operation::TextToImage, Family::Single, &form, 7).expect("a request");
    assert_eq!(self::spec(&request).size.width(), 256);
}

#[test]
fn pictures_come_as_addresses_data_urls_or_base64() {
    let with = |image: &str| {
        let body = json!({ "prompt": "x", "init_image": image, "mask_image": image, "strength": "0.5" });
        match parsed(Operation::Inpaint, Family::Single, &body).expect("a request").task {
            Task::Inpaint { spec, image, mask } => {
                assert_eq!(image, mask);
                assert_eq!(spec.init.map(|init| init.strength.get()), Some(0.5));
                image
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with("https://example.com/a.png"), ImageSource::Url("https://example.com/a.png".to_owned()));
    assert_eq!(with("data:image/png;base64,iVBORw0K"), ImageSource::Base64("iVBORw0K".to_owned()));
    assert_eq!(with("iVBORw0K"), ImageSource::Base64("iVBORw0K".to_owned()));

    for name in ["url", "init_image", "image", "image_url"] {
        let request =
            super_resolution(&fields(&json!({ name: "https://example.com/a.png", "scale": "2" }))).expect(name);
        assert!(matches!(request.task, Task::Upscale { factor: 2, .. }), "{name}");
    }
}

#[test]
fn the_prompt_that_ran_is_the_enhanced_one() {
    let body = json!({ "prompt": "ultra realistic portrait" });
    let request = parsed(Operation::TextToImage, Family::Single, &body).expect("a request");
    assert!(spec(&request).prompt.starts_with("ultra realistic portrait DSLR photography, sharp focus"));
    assert!(spec(&request).negative_prompt.starts_with(" ((out of frame)), ((extra fingers))"));
    let meta = meta(Family::Single, &request, "sdxl", "abc");
    assert_eq!(meta["prompt"], spec(&request).prompt);
    assert_eq!((&meta["W"], &meta["n_samples"], &meta["safetychecker"]), (&json!(512), &json!(1), &json!("yes")));
    let plain = parsed(Operation::TextToImage, Family::Realtime, &body).expect("a request");
    assert_eq!(spec(&plain).prompt, "ultra realistic portrait");
}

#[test]
fn every_wrong_field_is_answered_in_the_validator_s_words() {
    let body = json!({ "width": "2048", "samples": 0, "guidance_scale": "much", "scheduler": "PLMS", "seed": -5, "lora_model": "more_details" });
    let errors = parsed(Operation::ImageToImage, Family::Community, &body).expect_err("all of them");
    let expected = json!({
        "prompt": ["The prompt field is required."],
        "guidance_scale": ["The guidance scale must be a number."],
        "samples": ["The samples must be at least 1."],
        "scheduler": ["The selected scheduler is invalid."],
        "seed": ["The seed must be at least 0."],
        "width": ["The width may not be greater than 1024."],
        "init_image": ["The init image field is required."],
        "model_id": ["The model id field is required."],
        "lora_model": ["The lora model is not available on this server."],
    });
    let answer = validation(Family::Community, &errors);
    assert_eq!(answer, json!({ "status": "error", "message": expected, "messege": expected }));
    let missing = parsed(Operation::TextToImage, Family::Realtime, &json!({})).expect_err("no prompt");
    assert_eq!(validation(Family::Realtime, &missing)["message"], "The prompt field is required.");

    for (field, value) in
        [("controlnet_model", json!("canny")), ("panorama", json!("yes")), ("algorithm_type", json!("dpmsolver+++"))]
    {
        let errors =
            parsed(Operation::TextToImage, Family::Single, &json!({ "prompt": "x", field: value })).expect_err(field);
        assert_eq!(errors[0].name, field);
    }
    for scheduler in SCHEDULERS {
        let body = json!({ "prompt": "x", "scheduler": scheduler });
        if let Err(errors) = parsed(Operation::TextToImage, Family::Single, &body) {
            assert!(errors[0].to_string().contains("this server does not have that part"), "{errors:?}");
        }
    }
}

#[test]
fn wordings_are_those_that_clients_compare_with() {
    assert_eq!(rate_limited()["message"], "Rate limit exceeded");
    assert!(
        rate_limited()["tips"].as_str().is_some_and(|tips| tips.ends_with("please wait for 30 seconds and try again"))
    );
    assert_eq!(invalid_key()["message"], "Invalid Api Key");
    assert!(
        invalid_key()["tip"].as_str().is_some_and(|tip| tip.starts_with("1. Make sure you are passing Content-Type"))
    );
    assert_eq!(
        failed(),
        json!({ "status": "failed", "id": "", "message": "Failed, Try Again", "messege": "Failed, Try Again", "output": "" })
    );
    assert_eq!(model_not_found()["message"], "Model id not found");
    let meta = json!({ "W": 512 });
    let output = ["https://a.example/i/0.png".to_owned()];
    let job = JobView {
        id: 12_202_888,
        output: &output,
        fetch_result: "https://a.example/api/v3/fetch/12202888",
        eta: 2.75,
        generation_time: 1.5,
        nsfw: false,
        meta: &meta,
    };
    let processing = processing(job);
    assert_eq!(
        (&processing["status"], &processing["id"], &processing["output"]),
        (&json!("processing"), &json!(12_202_888), &json!([]))
    );
    assert_eq!((&processing["eta"], &processing["future_links"]), (&json!(2.75), &json!(output)));
    assert_eq!(processing["messege"], processing["message"]);
    assert_eq!(processing_fetched()["output"], "");
    assert_eq!(success(job)["output"], json!(output));
    assert_eq!(success_fetched(job)["id"], 12_202_888);
    assert_eq!(super_resolution_done(Family::Single, job)["output"], output[0]);
    assert_eq!(super_resolution_done(Family::Editing, job)["output"], json!(output));
}
