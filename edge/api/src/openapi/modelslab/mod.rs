//! The operations of the Stable Diffusion API.

mod answers;
mod requests;

use super::operation::{Described, Describing, describe, json_response};
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
            Self::Fetch | Self::Delete => json!({ "request_id": 7 }),
            Self::Model => json!({ "model_id": "demo" }),
            Self::Base64 => json!({ "base64_string": "data:image/png;base64,iVBORw0KGgo=" }),
            Self::Crop => json!({ "image": "data:image/png;base64,iVBORw0KGgo=", "crop": "false" }),
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
    let mut all = requests::drawing();
    all.extend(requests::small());
    all.extend(answers::drawing());
    all.extend(answers::files());
    all.extend(answers::pool());
    all
}
