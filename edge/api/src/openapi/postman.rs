//! The same operations as a collection for Postman (<https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html>).

use super::{TAGS, document, pretty};
use serde_json::{Map, Value, json};

/// The collection, as pretty JSON that ends with a line's end; the same bytes every time.
///
/// It has two variables: `base_url`, where the edge is, and `key`, a key of an account.
pub fn postman() -> String {
    pretty(&collection(&document()))
}

fn collection(document: &Value) -> Value {
    let folders: Vec<Value> = TAGS
        .iter()
        .map(|&(tag, about)| json!({ "name": tag, "description": about, "item": requests(document, tag) }))
        .collect();
    json!({
        "info": {
            "name": document["info"]["title"], "description": document["info"]["description"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": bearer("{{key}}"),
        "variable": [
            { "key": "base_url", "value": "http://127.0.0.1:8787" },
            { "key": "key", "value": "" },
            { "key": "admin_token", "value": "" },
        ],
        "item": folders,
    })
}

fn bearer(token: &str) -> Value {
    json!({ "type": "bearer", "bearer": [{ "key": "token", "value": token, "type": "string" }] })
}

fn requests(document: &Value, tag: &str) -> Vec<Value> {
    let empty = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&empty);
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
    });
    operations
        .filter(|(.., operation)| operation["tags"][0] == tag)
        .map(|(path, method, operation)| request(path, method, operation))
        .collect()
}

fn request(path: &str, method: &str, operation: &Value) -> Value {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let placed = |place: &'static str| parameters.iter().filter(move |parameter| parameter["in"] == place);
    let named =
        |parameter: &Value| json!({ "key": parameter["name"], "value": "", "description": parameter["description"] });
    // What can be left out is there, and left out.
    let optional = |parameter: &Value| {
        let mut named = named(parameter);
        named["disabled"] = true.into();
        named
    };
    let path = path.replace('{', ":").replace('}', "");
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let mut request = json!({
        "method": method.to_uppercase(),
        "description": operation["description"],
        "header": placed("header").map(optional).collect::<Vec<_>>(),
        "url": {
            "raw": format!("{{{{base_url}}}}{path}"), "host": ["{{base_url}}"], "path": parts,
            "query": placed("query").map(optional).collect::<Vec<_>>(), "variable": placed("path").map(named).collect::<Vec<_>>(),
        },
    });
    if let Some(body) = body(operation) {
        request["body"] = body;
    }
    match operation["security"].as_array().map(Vec::as_slice) {
        None | Some([]) => request["auth"] = json!({ "type": "noauth" }),
        Some([scheme, ..]) if scheme.get("adminToken").is_some() => request["auth"] = bearer("{{admin_token}}"),
        // The older calls have their key in the body.
        Some([scheme, ..]) if scheme.as_object().is_some_and(Map::is_empty) => {
            request["auth"] = json!({ "type": "noauth" });
        }
        Some(_) => {}
    }
    json!({ "name": operation["summary"], "request": request })
}

fn body(operation: &Value) -> Option<Value> {
    let contents = operation["requestBody"]["content"].as_object()?;
    let Some(json) = contents.get("application/json") else {
        return Some(json!({ "mode": "file", "file": { "src": null } }));
    };
    let mut example = json["example"].clone();
    if example.get("key").is_some() {
        example["key"] = "{{key}}".into();
    }
    let raw = serde_json::to_string_pretty(&example).ok()?;
    Some(json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": "json" } } }))
}
