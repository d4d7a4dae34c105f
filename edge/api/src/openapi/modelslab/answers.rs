//! What the calls of the Stable Diffusion API answer.

use serde_json::{Value, json};

/// An answer with these fields; others may stand beside them.
fn answer(about: &str, required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "description": about, "required": required, "properties": properties })
}

/// Schemas of answers about pictures.
pub fn drawing() -> Vec<(&'static str, Value)> {
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

/// Schemas of answers about files.
pub fn files() -> Vec<(&'static str, Value)> {
    let success = || json!({ "type": "string", "enum": ["success"] });
    let said = || json!({ "type": "string" });
    let count = || json!({ "type": "integer", "minimum": 0 });
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
    ]
}

/// Schemas of answers about the account and the pool.
pub fn pool() -> Vec<(&'static str, Value)> {
    let success = || json!({ "type": "string", "enum": ["success"] });
    let said = || json!({ "type": "string" });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let seconds = || json!({ "type": "number", "minimum": 0 });
    let maybe = || json!({ "type": ["string", "null"] });
    vec![
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
