//! The operations of the Stable Diffusion API.

use super::operation::{Described, Describing, describe, json_response};
use crate::modelslab::SCHEDULERS;
use serde_json::{Value, json};
use utoipa::openapi::{
    ContentBuilder, HttpMethod, ObjectBuilder, Ref, ResponseBuilder, Schema, Type,
    path::ParameterIn::Path,
    schema::{AnyOfBuilder, SchemaType},
};

const PICTURES: &str = "Stable Diffusion API";
const FILES: &str = "Stable Diffusion API: files";
const POOL: &str = "Stable Diffusion API: account and pool";

/// One call: path, identifier, tag, summary, the schema of its body with an example, the schemas that an answer has one of.
struct Call {
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    body: Body,
    answers: &'static [&'static str],
}

/// What a call reads.
#[derive(Clone, Copy)]
enum Body {
    Text2Img,
    DreamboothText2Img,
    Img2Img,
    DreamboothImg2Img,
    Inpaint,
    DreamboothInpaint,
    Realtime,
    RealtimeImg2Img,
    RealtimeInpaint,
    SuperResolution,
    Key,
    Fetch,
    Model,
    Base64,
    Crop,
    Delete,
    Check,
    Assets,
}

impl Body {
    const fn schema(self) -> &'static str {
        match self {
            Self::Text2Img => "Text2Img",
            Self::DreamboothText2Img => "DreamboothText2Img",
            Self::Img2Img => "Img2Img",
            Self::DreamboothImg2Img => "DreamboothImg2Img",
            Self::Inpaint => "Inpaint",
            Self::DreamboothInpaint => "DreamboothInpaint",
            Self::Realtime => "RealtimeText2Img",
            Self::RealtimeImg2Img => "RealtimeImg2Img",
            Self::RealtimeInpaint => "RealtimeInpaint",
            Self::SuperResolution => "SuperResolution",
            Self::Key => "KeyOnly",
            Self::Fetch => "FetchRequest",
            Self::Model => "ModelNamed",
            Self::Base64 => "Base64Picture",
            Self::Crop => "Base64Crop",
            Self::Delete => "DeleteImage",
            Self::Check => "NsfwImageCheck",
            Self::Assets => "AssetsGenerated",
        }
    }

    fn example(self) -> Value {
        let picture = "https://example.com/apple.png";
        let mut example = match self {
            Self::Text2Img | Self::Realtime => {
                json!({ "prompt": "a red apple", "width": "512", "height": "512", "samples": "1" })
            }
            Self::DreamboothText2Img => json!({
                "model_id": "demo", "prompt": "a red apple", "width": "64", "height": "64", "samples": "1",
                "num_inference_steps": "20", "safety_checker": "no", "enhance_prompt": "no", "seed": null,
            }),
            Self::Img2Img | Self::RealtimeImg2Img => {
                json!({ "prompt": "a red apple", "init_image": picture, "strength": 0.7 })
            }
            Self::DreamboothImg2Img => {
                json!({ "model_id": "demo", "prompt": "a red apple", "init_image": picture, "strength": 0.7 })
            }
            Self::Inpaint | Self::RealtimeInpaint => json!({
                "prompt": "a red apple", "init_image": picture, "mask_image": "https://example.com/mask.png",
            }),
            Self::DreamboothInpaint => json!({
                "model_id": "demo", "prompt": "a red apple", "init_image": picture, "mask_image": "https://example.com/mask.png",
            }),
            Self::SuperResolution => json!({ "init_image": picture, "scale": 2 }),
            Self::Key => json!({}),
            Self::Fetch => json!({ "request_id": 7 }),
            Self::Model => json!({ "model_id": "demo" }),
            Self::Base64 => json!({ "base64_string": "data:image/png;base64,iVBORw0KGgo=" }),
            Self::Crop => json!({ "image": "data:image/png;base64,iVBORw0KGgo=", "crop": "false" }),
            Self::Delete => json!({ "request_id": 7 }),
            Self::Check => json!({ "init_image": picture }),
            Self::Assets => json!({ "type": "image", "per_page": 10, "page": 1 }),
        };
        example["key"] = "YOUR_API_KEY".into();
        example
    }
}

const MADE: &[&str] = &["GenerationSuccess", "GenerationProcessing", "GenerationFailed", "DialectError"];
const FETCHED: &[&str] = &["FetchSuccess", "FetchProcessing", "GenerationFailed", "DialectError"];

const fn pictures(path: &'static str, id: &'static str, summary: &'static str, body: Body) -> Call {
    Call { path, id, tag: PICTURES, summary, body, answers: MADE }
}

const fn fetch(path: &'static str, id: &'static str) -> Call {
    Call { path, id, tag: PICTURES, summary: "Fetches a job", body: Body::Fetch, answers: FETCHED }
}

const fn fetch_by_path(path: &'static str, id: &'static str) -> Call {
    Call {
        path,
        id,
        tag: PICTURES,
        summary: "Fetches a job by its number in the path",
        body: Body::Key,
        answers: FETCHED,
    }
}

const fn file(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Body,
    answers: &'static [&'static str],
) -> Call {
    Call { path, id, tag: FILES, summary, body, answers }
}

const fn pool(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: Body,
    answers: &'static [&'static str],
) -> Call {
    Call { path, id, tag: POOL, summary, body, answers }
}

const CALLS: [Call; 58] = [
    pictures("/api/v3/text2img", "v3Text2img", "Words become pictures", Body::Text2Img),
    pictures("/api/v3/img2img", "v3Img2img", "A picture and words become pictures", Body::Img2Img),
    pictures("/api/v3/inpaint", "v3Inpaint", "A picture's masked part is painted anew", Body::Inpaint),
    pictures("/api/v3/super_resolution", "v3SuperResolution", "A picture becomes larger", Body::SuperResolution),
    fetch("/api/v3/fetch", "v3Fetch"),
    fetch_by_path("/api/v3/fetch/{id}", "v3FetchById"),
    pictures("/api/v3/dreambooth", "v3Dreambooth", "Words become pictures", Body::DreamboothText2Img),
    pictures(
        "/api/v3/dreambooth/img2img",
        "v3DreamboothImg2img",
        "A picture and words become pictures",
        Body::DreamboothImg2Img,
    ),
    pictures(
        "/api/v3/dreambooth/inpaint",
        "v3DreamboothInpaint",
        "A picture's masked part is painted anew",
        Body::DreamboothInpaint,
    ),
    fetch("/api/v3/dreambooth/fetch", "v3DreamboothFetch"),
    fetch_by_path("/api/v3/dreambooth/fetch/{id}", "v3DreamboothFetchById"),
    pictures("/api/v4/dreambooth", "v4Dreambooth", "Words become pictures", Body::DreamboothText2Img),
    pictures(
        "/api/v4/dreambooth/img2img",
        "v4DreamboothImg2img",
        "A picture and words become pictures",
        Body::DreamboothImg2Img,
    ),
    pictures(
        "/api/v4/dreambooth/inpaint",
        "v4DreamboothInpaint",
        "A picture's masked part is painted anew",
        Body::DreamboothInpaint,
    ),
    fetch("/api/v4/dreambooth/fetch", "v4DreamboothFetch"),
    fetch_by_path("/api/v4/dreambooth/fetch/{id}", "v4DreamboothFetchById"),
    pictures("/api/v5/super_resolution", "v5SuperResolution", "A picture becomes larger", Body::SuperResolution),
    pictures("/api/v6/images/text2img", "v6Text2img", "Words become pictures", Body::DreamboothText2Img),
    pictures("/api/v6/images/img2img", "v6Img2img", "A picture and words become pictures", Body::DreamboothImg2Img),
    pictures("/api/v6/images/inpaint", "v6Inpaint", "A picture's masked part is painted anew", Body::DreamboothInpaint),
    fetch("/api/v6/images/fetch", "v6Fetch"),
    fetch_by_path("/api/v6/images/fetch/{id}", "v6FetchById"),
    pictures("/api/v6/realtime/text2img", "v6RealtimeText2img", "Words become pictures", Body::Realtime),
    pictures(
        "/api/v6/realtime/img2img",
        "v6RealtimeImg2img",
        "A picture and words become pictures",
        Body::RealtimeImg2Img,
    ),
    pictures(
        "/api/v6/realtime/inpaint",
        "v6RealtimeInpaint",
        "A picture's masked part is painted anew",
        Body::RealtimeInpaint,
    ),
    fetch_by_path("/api/v6/realtime/fetch/{id}", "v6RealtimeFetchById"),
    pictures(
        "/api/v6/image_editing/inpaint",
        "v6EditingInpaint",
        "A picture's masked part is painted anew",
        Body::RealtimeInpaint,
    ),
    pictures(
        "/api/v6/image_editing/super_resolution",
        "v6EditingSuperResolution",
        "A picture becomes larger",
        Body::SuperResolution,
    ),
    fetch_by_path("/api/v6/image_editing/fetch/{id}", "v6EditingFetchById"),
    pictures("/api/v1/enterprise/text2img", "enterpriseText2img", "Words become pictures", Body::DreamboothText2Img),
    pictures(
        "/api/v1/enterprise/img2img",
        "enterpriseImg2img",
        "A picture and words become pictures",
        Body::DreamboothImg2Img,
    ),
    pictures(
        "/api/v1/enterprise/inpaint",
        "enterpriseInpaint",
        "A picture's masked part is painted anew",
        Body::DreamboothInpaint,
    ),
    pictures(
        "/api/v1/enterprise/super_resolution",
        "enterpriseSuperResolution",
        "A picture becomes larger",
        Body::SuperResolution,
    ),
    fetch("/api/v1/enterprise/fetch", "enterpriseFetch"),
    fetch_by_path("/api/v1/enterprise/fetch/{id}", "enterpriseFetchById"),
    file("/api/v6/base64_to_url", "v6Base64ToUrl", "Stores a picture", Body::Base64, &["Stored", "DialectError"]),
    file(
        "/api/v6/image_editing/base64_to_url",
        "v6EditingBase64ToUrl",
        "Stores a picture",
        Body::Base64,
        &["Stored", "DialectError"],
    ),
    file(
        "/api/v1/enterprise/upload_image",
        "enterpriseUploadImage",
        "Stores a picture",
        Body::Base64,
        &["Stored", "DialectError"],
    ),
    file("/api/v3/base64_crop", "v3Base64Crop", "Stores a picture", Body::Crop, &["Cropped", "DialectError"]),
    file("/api/v3/delete_image", "v3DeleteImage", "Deletes a job's pictures", Body::Delete, &["Done", "DialectError"]),
    file(
        "/api/v3/nsfw_image_check",
        "v3NsfwImageCheck",
        "Says whether a picture is fit for work",
        Body::Check,
        &["Checked", "DialectError"],
    ),
    file(
        "/api/v1/enterprise/nsfw_image_check",
        "enterpriseNsfwImageCheck",
        "Says whether a picture is fit for work",
        Body::Check,
        &["Checked", "DialectError"],
    ),
    file(
        "/api/v6/assets_generated",
        "v6AssetsGenerated",
        "Lists the account's pictures",
        Body::Assets,
        &["Assets", "DialectError"],
    ),
    pool(
        "/api/v3/system_load",
        "v3SystemLoad",
        "Says how busy the pool is",
        Body::Key,
        &["SystemLoad", "DialectError"],
    ),
    pool(
        "/api/v4/dreambooth/model_list",
        "v4ModelList",
        "Lists the models",
        Body::Key,
        &["ListedModels", "DialectError"],
    ),
    pool(
        "/api/v4/dreambooth/model_reload",
        "v4ModelReload",
        "Loads a model again",
        Body::Model,
        &["Done", "DialectError"],
    ),
    pool("/api/v6/images/model_reload", "v6ModelReload", "Loads a model again", Body::Model, &["Done", "DialectError"]),
    pool(
        "/api/v5/clear_cache",
        "v5ClearCache",
        "Forgets what is cached, which is nothing here",
        Body::Key,
        &["Done", "DialectError"],
    ),
    pool(
        "/api/v6/processing/request_count",
        "v6RequestCount",
        "Counts jobs that are not over",
        Body::Key,
        &["RequestCount", "DialectError"],
    ),
    pool("/api/wallet_balance", "walletBalance", "Says what is left", Body::Key, &["WalletBalance", "DialectError"]),
    pool(
        "/api/subscribed_products",
        "subscribedProducts",
        "Says what is left of the plan",
        Body::Key,
        &["SubscribedProducts", "DialectError"],
    ),
    pool(
        "/api/v1/enterprise/system_details",
        "enterpriseSystemDetails",
        "Says how busy the pool is",
        Body::Key,
        &["SystemDetails", "DialectError"],
    ),
    pool(
        "/api/v1/enterprise/get_all_models",
        "enterpriseGetAllModels",
        "Lists the models",
        Body::Key,
        &["AllModels", "DialectError"],
    ),
    pool(
        "/api/v1/enterprise/verify_model",
        "enterpriseVerifyModel",
        "Says whether a model is there",
        Body::Model,
        &["Done", "DialectError"],
    ),
    pool(
        "/api/v1/enterprise/schedulers_list",
        "enterpriseSchedulersList",
        "Lists the schedulers",
        Body::Key,
        &["SchedulersListed", "DialectError"],
    ),
    pool(
        "/api/v1/enterprise/clear_cache",
        "enterpriseClearCache",
        "Forgets what is cached, which is nothing here",
        Body::Key,
        &["Done", "DialectError"],
    ),
    pool(
        "/api/v1/enterprise/clear_queue",
        "enterpriseClearQueue",
        "Takes every waiting job back",
        Body::Key,
        &["Done", "DialectError"],
    ),
    pool(
        "/api/v5/controlnet",
        "v5Controlnet",
        "Is refused: there is no ControlNet here",
        Body::Img2Img,
        &["DialectError"],
    ),
];

/// Every operation.
pub fn operations() -> Vec<Described> {
    CALLS.iter().map(described).collect()
}

fn described(call: &Call) -> Described {
    let Call { path, id, tag, summary, body, answers } = call;
    let mut operation: Describing = describe(HttpMethod::Post, path, id, tag, summary);
    if path.contains("{id}") {
        let number = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]{1,15}$")).build();
        operation = operation.parameter(Path, "id", "The job's number", Schema::from(number));
    }
    // Whatever comes is answered with status 200, so that nothing is outside the schema.
    let anything = ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("Anything else is answered with `status` `error`"))
        .build();
    let schema = AnyOfBuilder::new().item(Ref::from_schema_name(body.schema())).item(anything).build();
    let content = ContentBuilder::new().schema(Some(Schema::from(schema))).example(Some(body.example())).build();
    let answered =
        answers.iter().fold(AnyOfBuilder::new(), |schema, name| schema.item(Ref::from_schema_name(*name))).build();
    let answered = ContentBuilder::new().schema(Some(Schema::from(answered))).build();
    let answered =
        ResponseBuilder::new().description("How it went, by `status`").content("application/json", answered).build();
    operation
        .body(false, [("application/json", content)])
        .response(200, answered)
        .response(413, json_response("The body is too large", "DialectError").build())
        .problems(&[404, 405, 503])
        .security(&[None, Some("key"), Some("keyHeader"), Some("apiKeyHeader"), Some("keyQuery")])
        .done()
}

/// The schemas of requests and answers.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let mut all = drawing();
    all.extend(small_requests());
    all.extend(answers());
    all.extend(small_answers());
    all
}

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
        ("prompt", json!({ "type": "string", "description": "What to draw" })),
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
        ("track_id", json!({ "description": "Any value, told to the webhook" })),
        ("scheduler", json!({ "type": ["string", "null"], "examples": SCHEDULERS, "description": "The scheduler" })),
        (
            "use_karras_sigmas",
            flag("spaces noise levels as Karras does, where a scheduler is named; `yes` when nothing is said"),
        ),
        ("algorithm_type", text("`none` alone")),
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

fn drawing() -> Vec<(&'static str, Value)> {
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

fn small_requests() -> Vec<(&'static str, Value)> {
    let id = ("request_id", json!({ "type": ["integer", "string"], "description": "The job's number" }));
    let picture = |about: &str| json!({ "type": "string", "description": about });
    let upscale = [
        ("init_image", picture("The picture, also called `url`, `image` and `image_url`")),
        ("scale", number("How many times as wide and as high, 1 to 4; 3 when nothing is said")),
        ("face_enhance", flag("is refused: there is no such part here")),
        ("webhook", text("Is told when the job is over")),
        ("track_id", json!({ "description": "Any value, told to the webhook" })),
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

/// An answer with these fields; others may stand beside them.
fn answer(about: &str, required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "description": about, "required": required, "properties": properties })
}

fn answers() -> Vec<(&'static str, Value)> {
    let status = |word: &str| json!({ "type": "string", "enum": [word] });
    let links = || json!({ "type": "array", "items": { "type": "string" } });
    let id = || json!({ "type": "integer", "minimum": 1, "description": "The job's number" });
    let seconds = || json!({ "type": "number", "minimum": 0 });
    let said = || json!({ "type": "string" });
    vec![
        (
            "GenerationSuccess",
            answer(
                "The pictures are there.",
                &["status", "generationTime", "id", "output", "meta"],
                &json!({
                    "status": status("success"), "generationTime": seconds(), "id": id(), "proxy_links": links(), "webhook_status": said(),
                    "output": { "type": ["array", "string"], "items": { "type": "string" }, "description": "Links or base64; of `super_resolution` in the older families one string" },
                    "nsfw_content_detected": { "type": "boolean" }, "tip": said(),
                    "meta": { "type": "object", "description": "What really ran" },
                }),
            ),
        ),
        (
            "GenerationProcessing",
            answer(
                "The pictures are not there yet.",
                &["status", "message", "eta", "fetch_result", "id", "output", "future_links", "meta"],
                &json!({
                    "status": status("processing"), "message": said(), "messege": said(), "tip": said(), "tip_1": said(),
                    "eta": seconds(), "id": id(), "output": { "type": "array", "maxItems": 0, "items": {} }, "webhook_status": said(),
                    "fetch_result": { "type": "string", "format": "uri", "description": "Where the job is fetched" },
                    "future_links": links(), "proxy_links": links(), "meta": { "type": "object" },
                }),
            ),
        ),
        (
            "GenerationFailed",
            answer(
                "There will be no pictures.",
                &["status", "message", "id", "output"],
                &json!({
                    "status": status("failed"), "message": said(), "messege": said(), "id": { "type": "string", "enum": [""] },
                    "output": { "type": "string", "enum": [""] },
                }),
            ),
        ),
        (
            "FetchSuccess",
            answer(
                "The pictures are there.",
                &["status", "id", "output"],
                &json!({
                    "status": status("success"), "id": id(), "output": links(), "proxy_links": links(),
                }),
            ),
        ),
        (
            "FetchProcessing",
            answer(
                "The pictures are not there yet.",
                &["status", "message", "messege", "output"],
                &json!({
                    "status": status("processing"), "message": said(), "messege": said(), "tip": said(), "output": { "type": "string", "enum": [""] },
                }),
            ),
        ),
        (
            "DialectError",
            answer(
                "Why not: a sentence, or lists of them by field.",
                &["status", "message"],
                &json!({
                    "status": status("error"),
                    "message": {
                        "anyOf": [said(), { "type": "object", "additionalProperties": { "type": "array", "items": { "type": "string" } } }],
                    },
                    "messege": { "description": "The same as `message`" }, "tip": said(), "tips": said(),
                    "retry_after": { "type": "integer", "minimum": 0 },
                }),
            ),
        ),
    ]
}

fn small_answers() -> Vec<(&'static str, Value)> {
    let success = || json!({ "type": "string", "enum": ["success"] });
    let said = || json!({ "type": "string" });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let seconds = || json!({ "type": "number", "minimum": 0 });
    let maybe = || json!({ "type": ["string", "null"] });
    vec![
        (
            "Stored",
            answer(
                "The picture is stored.",
                &["status", "id", "output"],
                &json!({
                    "status": success(), "id": count(), "output": { "type": "array", "items": { "type": "string", "format": "uri" } },
                    "message": said(), "image_url": said(),
                }),
            ),
        ),
        (
            "Cropped",
            answer(
                "The picture is stored.",
                &["status", "link", "request_id"],
                &json!({
                    "status": success(), "message": said(), "messege": said(), "link": { "type": "string", "format": "uri" }, "request_id": count(),
                }),
            ),
        ),
        ("Done", answer("It is done.", &["status", "message"], &json!({ "status": success(), "message": said() }))),
        (
            "Checked",
            answer(
                "What the checker says.",
                &["images", "has_nsfw_concept"],
                &json!({
                    "images": said(), "has_nsfw_concept": { "type": "array", "items": { "type": "boolean" } },
                }),
            ),
        ),
        (
            "Assets",
            answer(
                "A page of jobs.",
                &["status", "type", "data", "pagination"],
                &json!({
                    "status": success(), "type": said(), "data": { "type": "array", "items": { "type": "object" } },
                    "pagination": { "type": "object" },
                }),
            ),
        ),
        (
            "SystemLoad",
            answer(
                "How busy the pool is.",
                &["queue_num", "queue_time", "status"],
                &json!({
                    "queue_num": count(), "queue_time": seconds(), "status": { "type": "string", "enum": ["ok"] },
                }),
            ),
        ),
        (
            "SystemDetails",
            answer(
                "How busy the pool is.",
                &["model_count", "queue_time", "status"],
                &json!({
                    "model_count": count(), "queue_time": seconds(), "status": { "type": "string", "enum": ["ok"] },
                }),
            ),
        ),
        (
            "ListedModels",
            json!({ "type": "array", "description": "Every model.", "items": answer(
            "A model.",
            &["model_id", "status", "created_at", "instance_prompt", "model_name", "description", "screenshots"],
            &json!({
                "model_id": said(), "status": said(), "created_at": maybe(), "instance_prompt": maybe(), "model_name": said(),
                "description": said(), "screenshots": maybe(),
            }),
        ) }),
        ),
        (
            "AllModels",
            answer(
                "Every model.",
                &["models", "status"],
                &json!({
                    "status": success(), "models": { "type": "array", "items": answer("A model.", &["model_id", "load_data"], &json!({
                        "model_id": said(), "load_data": said(),
                    })) },
                }),
            ),
        ),
        (
            "SchedulersListed",
            answer(
                "Every scheduler.",
                &["schedulers"],
                &json!({
                    "schedulers": { "type": "array", "minItems": 17, "maxItems": 17, "items": { "type": "string" } },
                }),
            ),
        ),
        (
            "RequestCount",
            answer(
                "Jobs that are not over.",
                &["status", "processing_count", "message"],
                &json!({
                    "status": success(), "processing_count": count(), "message": said(),
                }),
            ),
        ),
        (
            "WalletBalance",
            answer(
                "What is left.",
                &["status", "data"],
                &json!({
                    "status": success(), "data": answer("Credits.", &["balance", "currency"], &json!({ "balance": count(), "currency": said() })),
                }),
            ),
        ),
        (
            "SubscribedProducts",
            answer(
                "What is left of the plan, by its name.",
                &["status", "data"],
                &json!({
                    "status": success(), "data": { "type": "object", "additionalProperties": answer(
                        "Pictures.",
                        &["total_api_call", "api_call_remaining", "percentage_used"],
                        &json!({ "total_api_call": count(), "api_call_remaining": count(), "percentage_used": count() }),
                    ) },
                }),
            ),
        ),
    ]
}
