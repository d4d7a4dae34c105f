//! The schemas: of answers, as their types have them, and of requests, as their readers take them.

use crate::v1;
use serde_json::{Map, Value, json};
use spec::{BatchSize, ClipSkip, Guidance, GuidanceRescale, ImageSize, NoiseKind, SchedulerKind, Steps, Strength};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

fn of<T: ToSchema + PartialSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

/// The schemas of answers.
pub fn derived() -> Vec<(String, RefOr<Schema>)> {
    vec![
        of::<v1::Account>(),
        of::<v1::AccountCreated>(),
        of::<v1::AdminAccount>(),
        of::<v1::Code>(),
        of::<v1::Delivery>(),
        of::<v1::DeliveryAttempt>(),
        of::<v1::DeliveryList>(),
        of::<v1::DeliveryStatus>(),
        of::<v1::Estimate>(),
        of::<v1::Export>(),
        of::<v1::ExportedJob>(),
        of::<v1::Fault>(),
        of::<v1::Job>(),
        of::<v1::JobError>(),
        of::<v1::JobList>(),
        of::<v1::JobProgress>(),
        of::<v1::JobStatus>(),
        of::<v1::Key>(),
        of::<v1::KeyCreated>(),
        of::<v1::KeyKind>(),
        of::<v1::KeyList>(),
        of::<v1::Links>(),
        of::<v1::Model>(),
        of::<v1::ModelList>(),
        of::<v1::NodeStatus>(),
        of::<v1::PictureLink>(),
        of::<v1::PoolStatus>(),
        of::<v1::Problem>(),
        of::<v1::Readiness>(),
        of::<v1::Scheduler>(),
        of::<v1::SchedulerList>(),
        of::<v1::Scope>(),
        of::<v1::Swept>(),
        of::<v1::TaskKind>(),
        of::<v1::Upload>(),
        of::<v1::Usage>(),
        of::<v1::UsageDay>(),
        of::<v1::Webhook>(),
        of::<v1::WebhookCreated>(),
        of::<v1::WebhookEvent>(),
        of::<v1::WebhookList>(),
    ]
}

/// The schemas of requests, and of what the older dialect answers.
pub fn by_hand() -> Vec<(&'static str, Value)> {
    let mut schemas = vec![
        ("Document", json!({ "type": "object", "description": "An OpenAPI document" })),
        ("ImageForm", image_form()),
        ("ImageRequest", image_request()),
        ("ImageSource", image_source()),
        ("NewGrant", new_grant()),
        ("NewKey", new_key()),
        ("NewPlan", new_plan()),
        ("NewWebhook", new_webhook()),
        (
            "Nothing",
            json!({ "type": "object", "description": "An object without fields", "additionalProperties": false }),
        ),
        ("UploadForm", upload_form()),
        ("GenerateRequest", task("generate", "Words become pictures.", true, &[])),
        ("EditRequest", task("edit", "A picture and words become pictures.", true, &["image"])),
        ("InpaintRequest", task("inpaint", "A picture's masked part is painted anew.", true, &["image", "mask"])),
        ("UpscaleRequest", task("upscale", "A picture becomes larger.", false, &["image"])),
    ];
    schemas.extend(super::modelslab::schemas());
    schemas
}

/// A field that may be left out, or `null`, which is the same.
fn optional(kind: &str, about: &str, more: Value) -> Value {
    let mut schema = json!({ "type": [kind, "null"], "description": about });
    if let (Some(schema), Value::Object(more)) = (schema.as_object_mut(), more) {
        schema.extend(more);
    }
    schema
}

fn words<T: Copy, W: Into<Value>>(all: &[T], word: impl Fn(T) -> W) -> Value {
    let mut words: Vec<Value> = all.iter().map(|&one| word(one).into()).collect();
    words.push(Value::Null);
    words.into()
}

fn image_request() -> Value {
    let one = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    json!({
        "description": "What is to be made, by its task",
        "oneOf": [one("GenerateRequest"), one("EditRequest"), one("InpaintRequest"), one("UpscaleRequest")],
    })
}

/// The fields of one task.
fn task(name: &str, about: &str, is_drawn: bool, pictures: &[&str]) -> Value {
    let mut properties = common();
    properties.insert("task".to_owned(), json!({ "type": "string", "enum": [name], "description": "The task" }));
    let mut required = vec!["task"];
    if is_drawn {
        properties.extend(drawn());
        required.push("prompt");
    }
    for &picture in pictures {
        let about = if picture == "mask" { "White where it is painted" } else { "The picture" };
        properties
            .insert(picture.to_owned(), json!({ "$ref": "#/components/schemas/ImageSource", "description": about }));
        required.push(picture);
    }
    if is_drawn && !pictures.is_empty() {
        let about = "How much of the picture is repainted";
        let range = json!({ "minimum": Strength::MIN, "maximum": Strength::MAX, "default": decimal(Strength::default().get()) });
        properties.insert("strength".to_owned(), optional("number", about, range));
    }
    if !is_drawn {
        let about = "How many times as wide and as high";
        properties.insert(
            "factor".to_owned(),
            optional("integer", about, json!({ "minimum": 2, "maximum": 4, "default": 2 })),
        );
    }
    json!({
        "type": "object", "description": about, "required": required, "properties": properties, "additionalProperties": false,
    })
}

/// A bound as people write it.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

fn common() -> Map<String, Value> {
    let flag = |about: &str| optional("boolean", about, json!({ "default": false }));
    let censors = ["blur", "sensitive_content_text", "pixelate", "black"];
    let all = json!({
        "model": optional("string", "The model; the pool's first when nothing is said", json!({
            "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$", "maxLength": 128, "examples": ["demo"],
        })),
        "censor": optional(
            "string",
            "Has pictures checked, and what becomes of one that is not fit for work",
            json!({ "enum": words(&censors, |word| word) }),
        ),
        "upscale": optional("integer", "Enlarges the pictures at the end", json!({ "minimum": 1, "maximum": 3, "default": 1 })),
        "base64": flag("Writes the pictures into the answer"),
        "temporary": flag("Keeps the pictures for a day only"),
        "webhook": optional("string", "Is told when the job is over", json!({ "format": "uri", "minLength": 1 })),
        "track_id": { "description": "Any value of at most 16 KiB as JSON, told to the webhook" },
    });
    all.as_object().cloned().unwrap_or_default()
}

fn drawn() -> Map<String, Value> {
    let side = |about: &str| {
        let range = json!({ "minimum": ImageSize::MIN, "maximum": ImageSize::MAX, "multipleOf": ImageSize::MULTIPLE });
        optional("integer", about, range)
    };
    let whole = |about: &str, min: u32, max: u32, usual: u32| {
        optional("integer", about, json!({ "minimum": min, "maximum": max, "default": usual }))
    };
    let number = |about: &str, min: f32, max: f32, usual: f32| {
        optional("number", about, json!({ "minimum": min, "maximum": max, "default": decimal(usual) }))
    };
    let all = json!({
        "prompt": { "type": "string", "minLength": 1, "maxLength": 32000, "description": "What to draw" },
        "negative_prompt": optional("string", "What to keep away from", json!({})),
        "width": side("Pixels across; the model's own when nothing is said"),
        "height": side("Pixels down; the model's own when nothing is said"),
        "steps": whole("Denoising steps", Steps::MIN, Steps::MAX, Steps::default().get()),
        "guidance": number("Classifier-free guidance scale", Guidance::MIN, Guidance::MAX, Guidance::default().get()),
        "guidance_rescale": number("Share of guidance rescaling", GuidanceRescale::MIN, GuidanceRescale::MAX, 0.0),
        "scheduler": optional("string", "The scheduler; the model's own when nothing is said", json!({
            "enum": words(SchedulerKind::ALL, |kind| kind.to_string()),
        })),
        "seed": optional("integer", "The seed of the first picture; drawn when nothing is said", json!({
            "minimum": 0, "maximum": u64::MAX, "format": "uint64",
        })),
        "noise": optional("string", "Where noise comes from", json!({ "enum": words(NoiseKind::ALL, NoiseKind::as_str) })),
        "clip_skip": whole("Which layer of the text encoder is used", ClipSkip::MIN, ClipSkip::MAX, ClipSkip::default().get()),
        "samples": whole("Pictures to make", BatchSize::MIN, BatchSize::MAX, BatchSize::default().get()),
    });
    all.as_object().cloned().unwrap_or_default()
}

fn image_source() -> Value {
    let one = |name: &str, about: &str, more: Value| {
        let mut text = json!({ "type": "string", "minLength": 1, "description": about });
        if let (Some(text), Value::Object(more)) = (text.as_object_mut(), more) {
            text.extend(more);
        }
        json!({ "type": "object", "required": [name], "properties": { name: text }, "additionalProperties": false })
    };
    json!({
        "description": "A picture: PNG, JPEG or WebP, 10 MiB at most",
        "oneOf": [
            one("url", "A public address", json!({ "format": "uri" })),
            one("base64", "Its file, bare or as a data URL", json!({ "contentEncoding": "base64" })),
            one("upload", "An upload of the same account", json!({ "examples": ["up_3"] })),
        ],
    })
}

fn image_form() -> Value {
    json!({
        "type": "object", "description": "The fields of `ImageRequest` as parts, and pictures as files", "required": ["task"],
        "properties": {
            "task": { "type": "string", "enum": ["generate", "edit", "inpaint", "upscale"] },
            "prompt": { "type": "string" },
            "image": { "type": "string", "format": "binary" },
            "mask": { "type": "string", "format": "binary" },
        },
    })
}

fn upload_form() -> Value {
    json!({
        "type": "object", "description": "One file, whatever its name", "required": ["file"],
        "properties": { "file": { "type": "string", "format": "binary" } },
    })
}

fn new_key() -> Value {
    let name = optional("string", "What its owner calls it", json!({ "maxLength": v1::NewKey::MAX_NAME }));
    let scopes = |scopes: Value| {
        optional(
            "array",
            "What it is for; everything that its kind allows when nothing is said",
            json!({
                "items": { "type": "string", "enum": scopes },
            }),
        )
    };
    let origin = "^https?://([a-z0-9-]+(\\.[a-z0-9-]+)*)(:[1-9][0-9]{0,4})?$";
    json!({
        "description": "A key that is asked for",
        "oneOf": [
            {
                "type": "object", "required": ["kind"], "additionalProperties": false,
                "description": "Everything that its scopes allow; stays on a server.",
                "properties": {
                    "kind": { "type": "string", "enum": ["secret"] }, "name": name, "scopes": scopes(json!(["images", "account"])),
                    "origins": optional("array", "None: no page may have it", json!({ "maxItems": 0, "items": { "type": "string" } })),
                },
            },
            {
                "type": "object", "required": ["kind", "origins"], "additionalProperties": false,
                "description": "Pictures alone, from pages of its origins, a few a day; may be seen by anyone.",
                "properties": {
                    "kind": { "type": "string", "enum": ["publishable"] }, "name": name, "scopes": scopes(json!(["images"])),
                    "origins": {
                        "type": "array", "minItems": 1, "maxItems": v1::NewKey::MAX_ORIGINS,
                        "description": "Pages that may use it, without the port where it is the scheme's own",
                        "items": { "type": "string", "pattern": origin, "maxLength": 260 },
                    },
                },
            },
        ],
    })
}

fn new_webhook() -> Value {
    let events = words(&v1::WebhookEvent::ALL, v1::WebhookEvent::as_str);
    let events: Vec<&Value> =
        events.as_array().map(|all| all.iter().filter(|one| !one.is_null()).collect()).unwrap_or_default();
    json!({
        "type": "object", "description": "A receiver that is asked for", "required": ["url"], "additionalProperties": false,
        "properties": {
            "url": { "type": "string", "format": "uri", "minLength": 1, "description": "Its public address, https" },
            "events": optional("array", "What it is told; everything when nothing is said", json!({
                "items": { "type": "string", "enum": events },
            })),
        },
    })
}

fn new_plan() -> Value {
    json!({
        "type": "object", "description": "A plan for an account", "required": ["plan"], "additionalProperties": false,
        "properties": { "plan": { "type": "string", "minLength": 1, "description": "Its name", "examples": ["premium"] } },
    })
}

fn new_grant() -> Value {
    json!({
        "type": "object", "description": "Credits for an account", "required": ["credits"], "additionalProperties": false,
        "properties": {
            "credits": { "type": "integer", "minimum": 1, "maximum": v1::NewGrant::MOST, "description": "How many" },
        },
    })
}
