//! Bodies as real clients send them, and answers as they read them.

use super::*;
use crate::{
    body::{Fields, form, json as read},
    fields::FieldError,
    request::{Censor, ImageRequest, ImageSource, Task},
};
use serde_json::{Value, json};
use spec::{GenerateSpec, Solver};

fn fields(body: &Value) -> Fields {
    read(body.to_string().as_bytes()).expect("a JSON object")
}

fn parsed(operation: Operation, family: Family, body: &Value) -> Result<ImageRequest, Vec<FieldError>> {
    image_request(operation, family, &fields(body), 7)
}

fn spec(request: &ImageRequest) -> &GenerateSpec {
    match &request.task {
        Task::Generate { spec } | Task::Edit { spec, .. } | Task::Inpaint { spec, .. } => spec,
        other => panic!("{} has none", other.word()),
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
    assert_eq!(spec.scheduler, Some(Solver::DpmPlusPlus2M.into()));
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
    assert_eq!(self::meta(Family::Realtime, &request, "sdxl", "abc")["enhance_prompt"], "yes");
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
        [("controlnet_model", json!("canny")), ("panorama", json!("yes")), ("algorithm_type", json!("dpmsolver"))]
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
        output: &output,
        fetch_result: "https://a.example/api/v3/fetch/12202888",
        eta: 2.75,
        generation_time: 1.5,
        ..JobView::new(Family::Single, 12_202_888, &meta)
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

/// Parts that change a picture are refused by name; tricks for speed alone are taken, as the examples send them.
#[test]
fn what_is_not_built_is_never_dropped_in_silence() {
    for (field, value) in [
        ("controlnet_model", json!("canny,depth")),
        ("control_image", json!("https://example.com/a.png")),
        ("lora_model", json!("more_details")),
        ("embeddings_model", json!("bad-hands")),
        ("ip_adapter_id", json!("ip-adapter_sd15")),
        ("vae", json!("sd-vae-ft-mse")),
        ("panorama", json!(true)),
        ("self_attention", json!("yes")),
        ("highres_fix", json!("yes")),
        ("multi_lingual", json!("yes")),
        ("free_u", json!("yes")),
        ("enhance_style", json!("anime")),
        ("algorithm_type", json!("sde-dpmsolver")),
        ("algorithm_type", json!("dpmsolver")),
    ] {
        let body = json!({ "prompt": "x", "model_id": "demo", field: value });
        let errors = parsed(Operation::TextToImage, Family::Community, &body).expect_err(field);
        assert_eq!((errors.len(), errors[0].name.as_str()), (1, field));
        let answer = validation(Family::Community, &errors);
        let expected = format!("The {} is not available on this server.", field.replace('_', " "));
        assert_eq!(answer["message"][field][0], expected);
        for unwanted in [json!("no"), json!("none"), json!(""), json!(null), json!(false), json!("false")] {
            let body = json!({ "prompt": "x", "model_id": "demo", field: unwanted });
            assert!(parsed(Operation::TextToImage, Family::Community, &body).is_ok(), "{field}: {unwanted}");
        }
    }
    let examples = json!({
        "prompt": "x", "model_id": "demo", "tomesd": "yes", "use_karras_sigmas": "yes", "lora_strength": "0.45,0.55", "guess_mode": "yes",
        "ip_adapter_scale": 0.6, "controlnet_conditioning_scale": "0.4", "auto_hint": "yes", "watermark": "no", "full_url": "no",
    });
    assert!(parsed(Operation::TextToImage, Family::Community, &examples).is_ok());
    let face = json!({ "url": "https://example.com/a.png", "face_enhance": true, "model_id": "RealESRGAN_x4plus" });
    assert_eq!(super_resolution(&fields(&face)).expect_err("faces")[0].name, "face_enhance");
    let unknown = json!({ "url": "https://example.com/a.png", "model_id": "mine" });
    assert_eq!(validation(Family::Editing, &super_resolution(&fields(&unknown)).expect_err("mine")), model_not_found());
}

#[test]
fn each_family_has_its_defaults() {
    let body = json!({ "prompt": "x", "model_id": "demo", "init_image": "https://example.com/a.png" });
    for (family, model, steps, guidance, enhanced, censor) in [
        (Family::Single, None, 20, 7.5, true, Some(Censor::SensitiveContentText)),
        (Family::Community, Some("demo"), 20, 7.5, true, Some(Censor::SensitiveContentText)),
        (Family::Enterprise, Some("demo"), 20, 7.5, true, Some(Censor::SensitiveContentText)),
        (Family::Realtime, None, 20, 1.0, false, None),
        (Family::Editing, None, 30, 5.0, false, None),
    ] {
        let request = parsed(Operation::ImageToImage, family, &body).expect("a request");
        let spec = spec(&request);
        assert_eq!(request.model.as_ref().map(spec::ModelId::as_str), model, "{family:?}");
        assert_eq!((spec.steps.get(), spec.guidance.get(), request.censor), (steps, guidance, censor), "{family:?}");
        assert_eq!(spec.prompt != "x", enhanced, "{family:?}");
        assert_eq!(spec.init.map(|init| init.strength.get()), Some(0.7));
    }
    let most = json!({ "prompt": "x", "num_inference_steps": "100" });
    let request = parsed(Operation::TextToImage, Family::Single, &most).expect("cut, not refused");
    assert_eq!(spec(&request).steps.get(), 51);
    let checked = json!({ "prompt": "x", "safety_checker": true });
    assert_eq!(
        parsed(Operation::TextToImage, Family::Realtime, &checked).expect("a request").censor,
        Some(Censor::Black)
    );
    assert!(has_size(&fields(&json!({ "width": "512" }))) && !has_size(&fields(&json!({ "width": null }))));
}

#[test]
fn the_echo_has_the_names_of_its_family() {
    let body = json!({
        "prompt": "x", "model_id": "demo", "enhance_prompt": "no", "init_image": "https://example.com/a.png", "mask_image": "iVBO",
        "scheduler": "UniPCMultistepScheduler", "seed": 7, "guidance_scale": 1.1,
    });
    let echo = |family| {
        let request = parsed(Operation::Inpaint, family, &body).expect("a request");
        let meta = meta(family, &request, "demo", "abc");
        let output = ["https://a.example/i/0.png".to_owned()];
        let job = JobView { output: &output, ..JobView::new(family, 9, &meta) };
        let text = to_string(&success(job));
        let start = text.find("\"meta\":").expect("an echo");
        let echo: Value = serde_json::from_str(&text).expect("JSON");
        let names = echo["meta"].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        (echo["meta"].clone(), text[start + 7..].to_owned(), names)
    };

    let (meta, _, names) = echo(Family::Single);
    let expected = "H,W,enable_attention_slicing,file_prefix,guidance_scale,init_image,mask_image,model,n_samples,negative_prompt,\
        outdir,prompt,revision,safetychecker,seed,steps,strength,vae";
    assert_eq!(names.join(","), expected);
    assert_eq!((&meta["guidance_scale"], &meta["strength"]), (&json!(1.1), &json!(0.7)), "as people write them");
    assert_eq!((&meta["init_image"], &meta["mask_image"]), (&json!("https://example.com/a.png"), &json!("")));

    let (meta, text, _) = echo(Family::Community);
    assert!(
        text.starts_with(
            "{\"prompt\":\"x\",\"model_id\":\"demo\",\"negative_prompt\":\"\",\"scheduler\":\"UniPCMultistepScheduler\""
        ),
        "{text}"
    );
    assert!(
        text.contains("\"is_sdxl\":false,\"output\":[\"https://a.example/i/0.png\"],\"outdir\":\"out\"}"),
        "{text}"
    );
    assert_eq!(
        (&meta["id"], &meta["file_prefix"], &meta["use_karras_sigmas"]),
        (&json!("9"), &json!("abc.png"), &json!("yes"))
    );

    let (meta, _, names) = echo(Family::Realtime);
    let expected = "base64,enhance_prompt,enhance_style,file_prefix,guidance_scale,height,init_image,instant_response,mask_image,\
        n_samples,negative_prompt,outdir,prompt,safety_checker,safety_checker_type,seed,strength,temp,width";
    assert_eq!((names.join(",").as_str(), &meta["safety_checker_type"]), (expected, &json!("black")));
}

#[test]
fn a_model_that_is_not_named_is_not_found() {
    let body = json!({ "prompt": "x" });
    let errors = parsed(Operation::TextToImage, Family::Community, &body).expect_err("no model");
    assert_eq!(validation(Family::Community, &errors), model_not_found());
    let errors = parsed(Operation::TextToImage, Family::Community, &json!({ "prompt": "x", "model_id": "../x" }));
    assert_eq!(validation(Family::Community, &errors.expect_err("no name")), model_not_found());
}

#[test]
fn newer_families_say_message_alone() {
    let meta = json!({});
    for (family, misspelt, tip_1) in [
        (Family::Single, true, true),
        (Family::Community, true, true),
        (Family::Realtime, false, true),
        (Family::Editing, false, false),
    ] {
        let job = JobView { fetch_result: "https://a.example/f/1", ..JobView::new(family, 1, &meta) };
        let answer = processing(job);
        assert_eq!((answer.get("messege").is_some(), answer.get("tip_1").is_some()), (misspelt, tip_1), "{family:?}");
        assert!(answer["message"].is_string());
    }
    let missing = parsed(Operation::TextToImage, Family::Realtime, &json!({})).expect_err("no prompt");
    assert_eq!(
        validation(Family::Realtime, &missing),
        json!({ "status": "error", "message": "The prompt field is required." })
    );
}

#[test]
fn webhooks_say_which_of_the_client_s_things_is_over() {
    let meta = json!({});
    let track = json!("video_001");
    let done =
        webhook_success(JobView { generation_time: 45.2, ..JobView::new(Family::Community, 1, &meta) }, Some(&track));
    assert_eq!(
        (&done["status"], &done["track_id"], &done["generationTime"]),
        (&json!("success"), &track, &json!(45.2))
    );
    let failed = webhook_failed(1, "Invalid input dimensions", None);
    assert_eq!(
        (&failed["message"], &failed["track_id"]),
        (&json!("Processing failed: Invalid input dimensions"), &json!(null))
    );
    assert_eq!((&failed["status"], &failed["id"]), (&json!("failed"), &json!(1)));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "(yes|no|none|[0-9.-]{0,5}|.{0,6})".prop_map(Into::into),
            Just(json!(["x"])),
            Just(json!({ "a": 1 })),
        ]
    }

    proptest! {
        /// Whatever comes, a request is within the bounds or every wrong field is named, and the answer can be written.
        #[test]
        fn any_fields_are_read(values in prop::collection::btree_map(prop::sample::select(&[
            "prompt", "negative_prompt", "width", "height", "samples", "steps", "num_inference_steps", "seed", "guidance_scale", "strength",
            "clip_skip", "scheduler", "upscale", "safety_checker", "safety_checker_type", "enhance_prompt", "init_image", "model_id", "base64",
            "track_id", "webhook", "vae", "lora_model", "use_karras_sigmas", "algorithm_type",
        ][..]), value(), 0..12)) {
            let fields: Fields = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            for family in [Family::Single, Family::Community, Family::Realtime] {
                match image_request(Operation::ImageToImage, family, &fields, 7) {
                    Ok(request) => {
                        let spec = spec(&request);
                        prop_assert!(spec.size.width().is_multiple_of(8) && spec.size.width() <= 1024 && spec.steps.get() <= 51);
                        let meta = meta(family, &request, "demo", "abc");
                        let text = to_string(&success(JobView::new(family, 1, &meta)));
                        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
                    }
                    Err(errors) => {
                        prop_assert!(!errors.is_empty());
                        let answer = validation(family, &errors);
                        prop_assert_eq!(&answer["status"], "error");
                        prop_assert!(!answer["message"].is_null());
                    }
                }
            }
        }
    }
}
