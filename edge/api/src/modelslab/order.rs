//! The order in which the service writes the members of its answers, which some of its clients read by position or compare as text.
//!
//! A JSON object has no order (RFC 8259, section 4), and values here are kept by name; so it is given to them when they are written.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

/// Members of an answer.
const ANSWER: [&str; 20] = [
    "status",
    "message",
    "messege",
    "tip",
    "tips",
    "tip_1",
    "generationTime",
    "eta",
    "fetch_result",
    "id",
    "output",
    "proxy_links",
    "link",
    "request_id",
    "nsfw_content_detected",
    "webhook_status",
    "track_id",
    "meta",
    "future_links",
    "data",
];

/// Members of the echo in the families with a `model_id`; the other families have theirs in alphabetical order.
const META: [&str; 41] = [
    "prompt",
    "model_id",
    "negative_prompt",
    "scheduler",
    "safety_checker",
    "safetychecker",
    "W",
    "H",
    "guidance_scale",
    "init_image",
    "mask_image",
    "strength",
    "seed",
    "steps",
    "n_samples",
    "full_url",
    "instant_response",
    "tomesd",
    "ip_adapter_id",
    "ip_adapter_scale",
    "ip_adapter_image",
    "free_u",
    "upscale",
    "panorama",
    "self_attention",
    "use_karras_sigmas",
    "algorithm_type",
    "safety_checker_type",
    "vae",
    "lora",
    "lora_strength",
    "clip_skip",
    "watermark",
    "temp",
    "base64",
    "webhook",
    "track_id",
    "id",
    "file_prefix",
    "is_sdxl",
    "output",
];

/// Writes an answer in the service's order; members that it does not know come last, by name.
pub fn to_string(answer: &Value) -> String {
    // Values have names that are strings and numbers that are finite, so that writing them cannot fail.
    serde_json::to_string(&Ordered { value: answer, order: &ANSWER }).unwrap_or_default()
}

struct Ordered<'a> {
    value: &'a Value,
    order: &'static [&'static str],
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(members) = self.value else { return self.value.serialize(serializer) };
        let place = |name: &str| self.order.iter().position(|known| *known == name).unwrap_or(self.order.len());
        let mut members: Vec<(&String, &Value)> = members.iter().collect();
        members.sort_by_key(|(name, _)| (place(name), name.as_str()));
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (name, value) in members {
            if name == "meta" {
                let order: &[&str] = if value.get("model_id").is_some() { &META } else { &[] };
                map.serialize_entry(name, &Ordered { value, order })?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_have_the_order_of_the_service() {
        let answer = json!({ "zzz": 1, "meta": { "W": 1, "prompt": "x", "model_id": "m", "outdir": "out", "H": 2 }, "id": 7, "status": "success" });
        let text =
            r#"{"status":"success","id":7,"meta":{"prompt":"x","model_id":"m","W":1,"H":2,"outdir":"out"},"zzz":1}"#;
        assert_eq!(to_string(&answer), text);
        let older = json!({ "meta": { "steps": 20, "W": 1, "H": 2 }, "status": "success" });
        assert_eq!(to_string(&older), r#"{"status":"success","meta":{"H":2,"W":1,"steps":20}}"#);
        assert_eq!(to_string(&json!([1])), "[1]");
    }
}
