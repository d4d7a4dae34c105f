//! What the calls of the Stable Diffusion API read.

use crate::modelslab::SCHEDULERS;
use serde_json::{Value, json};

fn number(about: &str) -> Value {
    json!({ "type": ["number", "string", "null"], "description": about })
}

fn text(about: &str) -> Value {
    json!({ "type": ["string", "null"], "description": about })
}

fn flag(about: &str) -> Value {
    json!({ "type": ["string", "boolean", "number", "null"], "description": format!("`yes` or `no`: {about}") })
}

/// A request with these fields beside the key, of which some must be there.
fn request(about: &str, required: &[&str], fields: &[(&str, Value)]) -> Value {
    let mut properties = json!({ "key": { "type": "string", "description": "A key of the account" } });
    for (name, schema) in fields {
        properties[*name] = schema.clone();
    }
    json!({ "type": "object", "description": about, "required": required, "properties": properties })
}

fn drawn_fields(has_model: bool) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("prompt", json!({ "type": "string", "maxLength": 32000, "description": "What to draw" })),
        ("negative_prompt", text("What to keep away from")),
        ("width", number("Pixels across, 64 to 1024, 512 when nothing is said")),
        ("height", number("Pixels down, the same")),
        ("samples", number("Pictures to make, 1 to 4")),
        ("num_inference_steps", number("Denoising steps, also called `steps`; more than 51 are cut")),
        ("guidance_scale", number("Classifier-free guidance scale, 0 to 20, also called `guidance`")),
        ("seed", number("The seed; `null` or -1 draws one")),
        ("safety_checker", flag("has pictures checked")),
        (
            "safety_checker_type",
            json!({
                "type": ["string", "null"], "enum": ["sensitive_content_text", "blur", "pixelate", "black", null],
                "description": "What becomes of a picture that is not fit for work",
            }),
        ),
        ("enhance_prompt", flag("adds words to the prompt")),
        (
            "upscale",
            json!({ "type": ["string", "number", "boolean", "null"], "description": "`no`, `yes` for twice, `1`, `2` or `3`" }),
        ),
        ("clip_skip", number("Which layer of the text encoder is used, 1 to 8, also called `clipskip`")),
        ("base64", flag("writes the pictures into the answer")),
        ("temp", flag("keeps the pictures for a day only")),
        ("instant_response", flag("does not wait for the pictures")),
        ("webhook", text("Is told when the job is over")),
        ("track_id", json!({ "description": "Any value of at most 16 KiB as JSON, told to the webhook" })),
        ("scheduler", json!({ "type": ["string", "null"], "examples": SCHEDULERS, "description": "The scheduler" })),
        (
            "use_karras_sigmas",
            flag("spaces noise levels as Karras does, where a scheduler is named; `yes` when nothing is said"),
        ),
        ("algorithm_type", text("`dpmsolver+++` makes `DPMSolverMultistepScheduler` stochastic, `none` does not")),
        ("tomesd", flag("is taken and has no effect, since it only saves time")),
    ];
    if has_model {
        fields.push((
            "model_id",
            json!({ "type": "string", "description": "The model, of `model_list`", "examples": ["demo"] }),
        ));
    }
    fields
}

/// Schemas of requests for pictures.
pub fn drawing() -> Vec<(&'static str, Value)> {
    let init_image =
        ("init_image", json!({ "type": "string", "description": "The picture: an address, a data URL or base64" }));
    let mask_image = ("mask_image", json!({ "type": "string", "description": "White where it is painted, the same" }));
    let strength = ("strength", number("How much of the picture is repainted, 0 to 1, also called `prompt_strength`"));
    let make = |about: &str, has_model: bool, pictures: usize| {
        let mut fields = drawn_fields(has_model);
        let mut required = vec!["prompt"];
        if has_model {
            required.push("model_id");
        }
        if pictures > 0 {
            fields.extend([init_image.clone(), strength.clone()]);
            required.push("init_image");
        }
        if pictures > 1 {
            fields.push(mask_image.clone());
            required.push("mask_image");
        }
        request(about, &required, &fields)
    };
    let text_to_image = "Words become pictures.";
    let image_to_image = "A picture and words become pictures.";
    let inpaint = "A picture's masked part is painted anew.";
    vec![
        ("Text2Img", make(text_to_image, false, 0)),
        ("DreamboothText2Img", make(text_to_image, true, 0)),
        ("Img2Img", make(image_to_image, false, 1)),
        ("DreamboothImg2Img", make(image_to_image, true, 1)),
        ("Inpaint", make(inpaint, false, 2)),
        ("DreamboothInpaint", make(inpaint, true, 2)),
        ("RealtimeText2Img", make(text_to_image, false, 0)),
        ("RealtimeImg2Img", make(image_to_image, false, 1)),
        ("RealtimeInpaint", make(inpaint, false, 2)),
    ]
}

/// Schemas of the other requests.
pub fn small() -> Vec<(&'static str, Value)> {
    let id = ("request_id", json!({ "type": ["integer", "string"], "description": "The job's number" }));
    let picture = |about: &str| json!({ "type": "string", "description": about });
    let upscale = [
        ("init_image", picture("The picture, also called `url`, `image` and `image_url`")),
        ("scale", number("How many times as wide and as high, 1 to 4; 3 when nothing is said")),
        ("face_enhance", flag("is refused: there is no such part here")),
        ("webhook", text("Is told when the job is over")),
        ("track_id", json!({ "description": "Any value of at most 16 KiB as JSON, told to the webhook" })),
    ];
    let base64 = "Base64 or a data URL, also called `init_image`, `image` and `base64_image`";
    vec![
        ("SuperResolution", request("A picture becomes larger.", &["init_image"], &upscale)),
        ("KeyOnly", request("A key alone.", &[], &[])),
        ("FetchRequest", request("A job.", &["request_id"], std::slice::from_ref(&id))),
        (
            "DeleteImage",
            request("A job whose pictures are deleted.", &["request_id"], &[id, ("type", text("`image`"))]),
        ),
        ("ModelNamed", request("A model.", &["model_id"], &[("model_id", picture("Its name"))])),
        (
            "Base64Picture",
            request("A picture that is stored.", &["base64_string"], &[("base64_string", picture(base64))]),
        ),
        (
            "Base64Crop",
            request(
                "A picture that is stored.",
                &["image"],
                &[("image", picture("Base64 or a data URL")), ("crop", flag("is refused: nothing here cuts pictures"))],
            ),
        ),
        (
            "NsfwImageCheck",
            request(
                "A picture that is judged.",
                &["init_image"],
                &[
                    ("init_image", picture("An address, a data URL or base64")),
                    ("threshold", number("How sure it must be, 0 to 1")),
                ],
            ),
        ),
        (
            "AssetsGenerated",
            request(
                "A page of jobs.",
                &["type"],
                &[("type", picture("`image`")), ("per_page", number("1 to 30")), ("page", number("1 and up"))],
            ),
        ),
    ]
}
