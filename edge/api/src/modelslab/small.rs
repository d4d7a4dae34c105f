//! Answers to the small calls.

use super::{Family, scheduler::enterprise_names};
use crate::v1::rfc3339;
use serde::Serialize;
use serde_json::{Value, json};

/// Credits left.
pub fn wallet_balance(credits: u64) -> Value {
    json!({ "status": "success", "data": { "balance": credits, "currency": "credits" } })
}

/// What is left of a plan: pictures that it has, and those that may still be made.
pub fn subscribed_products(plan: &str, total: u64, remaining: u64) -> Value {
    let used = total.saturating_sub(remaining);
    let percentage = (used * 100).checked_div(total).unwrap_or(0);
    let product = json!({ "total_api_call": total, "api_call_remaining": remaining, "percentage_used": percentage });
    json!({ "status": "success", "data": { plan: product } })
}

/// Jobs that wait, and the seconds that a new one would wait.
pub fn system_load(queue_num: u64, queue_time: f64) -> Value {
    json!({ "queue_num": queue_num, "queue_time": queue_time, "status": "ok" })
}

/// Models that are there, and the seconds that a new job would wait.
pub fn system_details(model_count: u64, queue_time: f64) -> Value {
    json!({ "model_count": model_count, "queue_time": queue_time, "status": "ok" })
}

/// A model in [`model_list`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListedModel {
    /// Its name, which requests say.
    pub model_id: String,
    /// `model_ready`, or what it still lacks.
    pub status: String,
    /// When it was added, if that is known.
    pub created_at: Option<String>,
    /// Words that its training wants in a prompt.
    pub instance_prompt: Option<String>,
    /// For people.
    pub model_name: String,
    /// For people.
    pub description: String,
    /// The address of a picture that it made.
    pub screenshots: Option<String>,
}

impl ListedModel {
    /// A model that can be used, by its name and its title.
    pub fn ready(id: &str, title: &str) -> Self {
        Self {
            model_id: id.to_owned(),
            status: "model_ready".to_owned(),
            model_name: title.to_owned(),
            description: title.to_owned(),
            ..Self::default()
        }
    }
}

/// Every model, as a bare list.
pub fn model_list(models: &[ListedModel]) -> Value {
    json!(models)
}

/// The same for an enterprise server: names, and when each was loaded, in milliseconds since 1970.
pub fn get_all_models<'m>(models: impl IntoIterator<Item = (&'m str, u64)>) -> Value {
    let models: Vec<Value> =
        models.into_iter().map(|(id, loaded)| json!({ "load_data": american(loaded), "model_id": id })).collect();
    json!({ "models": models, "status": "success" })
}

/// `01/25/2023 11:52:22`.
fn american(millis: u64) -> String {
    let time = rfc3339(millis);
    format!("{}/{}/{} {}", &time[5..7], &time[8..10], &time[..4], &time[11..19])
}

/// A model is there.
pub fn verify_model() -> Value {
    json!({ "status": "success", "message": "Model exists on server" })
}

/// A model that is there is loaded when a job needs it, so nothing is to be done.
pub fn model_reload() -> Value {
    json!({ "status": "success", "message": "model load started", "messege": "model load started" })
}

/// The schedulers one may name.
pub fn schedulers_list() -> Value {
    json!({ "schedulers": enterprise_names() })
}

/// A picture was stored; an enterprise server says its link under a name of its own too.
pub fn base64_to_url(family: Family, id: u64, link: &str) -> Value {
    let mut body = json!({ "status": "success", "id": id, "output": [link] });
    if family == Family::Enterprise {
        body["message"] = "image uploaded".into();
        body["image_url"] = link.into();
    }
    body
}

/// A picture was stored, perhaps cut.
pub fn base64_crop(request_id: u64, link: &str) -> Value {
    json!({
        "status": "success", "message": "image uploaded", "messege": "image uploaded", "link": link, "request_id": request_id,
    })
}

/// A job's pictures were deleted.
pub fn delete_image() -> Value {
    json!({ "status": "success", "message": "image deleted", "messege": "image deleted" })
}

/// Whether a picture, by its address, is not fit for work.
pub fn nsfw_image_check(image: &str, has_nsfw_concept: bool) -> Value {
    json!({ "images": image, "has_nsfw_concept": [has_nsfw_concept] })
}

/// Jobs that wait or run.
pub fn request_count(count: u64) -> Value {
    json!({ "status": "success", "processing_count": count, "message": format!("{count} requests are processing") })
}

/// Nothing is cached for an account.
pub fn clear_cache(family: Family) -> Value {
    let message = if family == Family::Enterprise { "Cache cleared successfully" } else { "Cache cleared" };
    json!({ "message": message, "status": "success" })
}

/// Every job of the account that waited was taken back.
pub fn clear_queue() -> Value {
    json!({ "message": "Queue cleared", "status": "success" })
}

/// A page of jobs with the links to their pictures; `total` counts all of them.
pub fn assets_generated(page: super::AssetsGenerated, total: u64, jobs: &[(u64, Vec<String>)]) -> Value {
    let (per_page, current) = (u64::from(page.per_page.max(1)), u64::from(page.page.max(1)));
    let before = (current - 1) * per_page;
    let shown = jobs.len() as u64;
    let data: Vec<Value> = jobs.iter().map(|(id, output)| json!({ "id": id, "output": output })).collect();
    json!({
        "status": "success", "type": "image", "data": data,
        "pagination": {
            "current_page": current, "per_page": per_page, "total": total, "last_page": total.div_ceil(per_page).max(1),
            "from": (shown > 0).then_some(before + 1), "to": (shown > 0).then_some(before + shown),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_service() {
        assert_eq!(
            subscribed_products("imagen", 999, 897)["data"]["imagen"],
            json!({ "total_api_call": 999, "api_call_remaining": 897, "percentage_used": 10 })
        );
        assert_eq!(subscribed_products("free", 0, 0)["data"]["free"]["percentage_used"], 0);
        assert_eq!(
            get_all_models([("hf-model", 1_674_647_542_000)]),
            json!({ "models": [{ "load_data": "01/25/2023 11:52:22", "model_id": "hf-model" }], "status": "success" })
        );
        assert_eq!(
            model_list(&[ListedModel::ready("demo", "Demo")]),
            json!([{
                "model_id": "demo", "status": "model_ready", "created_at": null, "instance_prompt": null, "model_name": "Demo",
                "description": "Demo", "screenshots": null,
            }])
        );
        assert_eq!(schedulers_list()["schedulers"].as_array().map(Vec::len), Some(17));
        assert_eq!(base64_to_url(Family::Editing, 7, "x"), json!({ "status": "success", "id": 7, "output": ["x"] }));
        assert_eq!(base64_to_url(Family::Enterprise, 7, "x")["image_url"], "x");
        assert_eq!(base64_crop(2398, "x")["messege"], "image uploaded");
        assert_eq!(nsfw_image_check("x", true), json!({ "images": "x", "has_nsfw_concept": [true] }));
        assert_eq!(wallet_balance(43)["data"]["balance"], 43);
        assert_eq!(clear_cache(Family::Single)["message"], "Cache cleared");
    }

    #[test]
    fn pages_say_where_they_are() {
        let page = |page| super::super::AssetsGenerated { per_page: 10, page };
        let jobs: Vec<(u64, Vec<String>)> = (0..3).map(|id| (id, Vec::new())).collect();
        assert_eq!(
            assets_generated(page(2), 13, &jobs)["pagination"],
            json!({ "current_page": 2, "per_page": 10, "total": 13, "last_page": 2, "from": 11, "to": 13 })
        );
        assert_eq!(assets_generated(page(1), 0, &[])["pagination"]["from"], Value::Null);
        assert_eq!(assets_generated(page(1), 0, &[])["pagination"]["last_page"], 1);
    }
}
