//! Requests as the documentation shows them, and what is wrong with others.

use super::*;
use crate::{
    body,
    request::{Censor, ImageRequest, ImageSource, Task},
};
use serde_json::{Value, json};
use spec::{NoiseKind, SchedulerKind, Solver};

fn parsed(body: &Value) -> Result<ImageRequest, Problem> {
    let fields = body::json(body.to_string().as_bytes()).expect("JSON");
    image_request(&fields, 99).map_err(|errors| Problem::of_fields(&errors))
}

#[test]
fn the_shortest_request_takes_the_defaults() {
    let request = parsed(&json!({ "task": "generate", "prompt": "a red apple" })).expect("a request");
    let Task::Generate { spec } = &request.task else { panic!("{request:?}") };
    assert_eq!((spec.size.width(), spec.steps.get(), spec.seed.0, spec.batch.get()), (512, 20, 99, 1));
    assert_eq!((request.model, request.censor, request.upscale), (None, None, 1));
}

#[test]
fn every_field_arrives() {
    let request = parsed(&json!({
        "task": "inpaint", "model": "stabilityai/sd-turbo", "prompt": "x", "negative_prompt": "y", "width": 64, "height": 128,
        "steps": 4, "guidance": 1.5, "guidance_rescale": 0.7, "scheduler": "euler-a", "seed": 18_446_744_073_709_551_615_u64,
        "noise": "torch-cpu", "clip_skip": 2, "samples": 3, "strength": 0.25, "image": { "url": "https://example.com/a.png" },
        "mask": { "upload": "up_1" }, "censor": "pixelate", "upscale": 2, "base64": true, "temporary": true,
        "webhook": "https://example.com/hook", "track_id": { "a": 1 },
    }))
    .expect("a request");
    let Task::Inpaint { spec, image, mask } = &request.task else { panic!("{request:?}") };
    assert_eq!((spec.size.width(), spec.size.height(), spec.seed.0), (64, 128, u64::MAX));
    assert_eq!((spec.scheduler, spec.noise), (Some(Solver::EulerAncestral.into()), NoiseKind::TorchCpu));
    assert_eq!(
        (image, mask),
        (&ImageSource::Url("https://example.com/a.png".to_owned()), &ImageSource::Upload("up_1".to_owned()))
    );
    assert_eq!((request.censor, request.upscale), (Some(Censor::Pixelate), 2));
    assert_eq!(request.delivery.track_id, Some(json!({ "a": 1 })));

    let kept = serde_json::to_string(&request).expect("JSON");
    assert_eq!(
        serde_json::from_str::<ImageRequest>(&kept).expect("the same"),
        request,
        "a row in the account reads back"
    );
}

#[test]
fn every_wrong_field_has_its_pointer() {
    let problem = parsed(&json!({
        "task": "edit", "prompt": 7, "width": 70, "steps": 0, "guidance": "7.5", "scheduler": "plmz", "seed": -1, "strength": 2,
        "image": "https://example.com/a.png", "model": "../x", "promt": "x",
    }))
    .expect_err("all of them");
    let found: Vec<(&str, &str)> =
        problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    let all: Vec<String> = SchedulerKind::ALL.iter().map(ToString::to_string).collect();
    let scheduler = format!("scheduler is `plmz`, but must be one of {}", all.join(", "));
    let expected = [
        ("/prompt", "prompt is 7, but must be a string"),
        ("/strength", "strength is 2, but must be at most 1"),
        ("/steps", "steps is 0, but must be at least 1"),
        ("/guidance", "guidance is `7.5`, but must be a number"),
        ("/scheduler", &*scheduler),
        ("/seed", "seed is -1, but must be at least 0"),
        ("/width", "width is 70, but must be a multiple of 8"),
        (
            "/image",
            "image is `https://example.com/a.png`, but must be an object with one of url, base64 and upload, a string",
        ),
        (
            "/model",
            "model is `../x`, but is no model's name: model name `../x` may only have letters, digits, `.`, `_`, `-` and single `/` between parts",
        ),
        ("/promt", "promt: there is no such field; did you mean prompt?"),
    ];
    assert_eq!(found, expected);
    assert_eq!((problem.status, problem.code), (422, Code::InvalidRequest));
}

#[test]
fn whole_numbers_are_whole_and_null_is_absent() {
    for name in ["steps", "samples", "clip_skip", "width", "seed"] {
        let problem = parsed(&json!({ "task": "generate", "prompt": "x", name: 1.5 })).expect_err(name);
        assert_eq!(problem.detail, format!("{name} is 1.5, but must be a whole number"));
        assert!(parsed(&json!({ "task": "generate", "prompt": "x", name: null })).is_ok(), "{name}");
        assert!(
            parsed(&json!({ "task": "generate", "prompt": "x", name: if name == "width" { 64.0 } else { 2.0 } }))
                .is_ok()
        );
    }
    assert_eq!(parsed(&json!({ "task": "generate", "prompt": "" })).expect_err("empty").detail, "prompt is required");
    assert!(parsed(&json!({ "task": "generate", "prompt": "x", "scheduler": "" })).is_err());
    assert!(parsed(&json!({ "task": "upscale", "image": { "url": "" } })).is_err());
    let data =
        parsed(&json!({ "task": "upscale", "image": { "base64": "data:image/png;base64,iVBO" } })).expect("a picture");
    assert_eq!(data.task, Task::Upscale { image: ImageSource::Base64("iVBO".to_owned()), factor: 2 });
}

#[test]
fn a_field_of_another_task_is_none_of_this_one() {
    let problem =
        parsed(&json!({ "task": "upscale", "image": { "base64": "AAAA" }, "prompt": "x" })).expect_err("prompt");
    assert_eq!(problem.detail, "prompt: there is no such field");
    let problem = parsed(&json!({ "task": "paint" })).expect_err("task");
    assert_eq!(problem.detail, "task is `paint`, but must be one of generate, edit, inpaint, upscale");
    assert_eq!(parsed(&json!({})).expect_err("nothing").detail, "task is required");
    let two = json!({ "task": "upscale", "image": { "base64": "AAAA", "url": "x" } });
    assert!(parsed(&two).is_err());
}
