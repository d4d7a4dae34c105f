//! The description against what it describes.

use super::*;
use crate::{
    modelslab::{self, Call, Operation},
    v1::{NewGrant, NewKey, NewPlan, NewWebhook, image_request},
};
use serde_json::Map;
use std::{collections::BTreeSet, fs, path::PathBuf};

fn checked_in(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../static").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; {AGAIN}", path.display()))
}

const AGAIN: &str = "`cargo xtask openapi` writes it anew";

#[test]
fn the_files_are_those_that_are_made() {
    assert!(checked_in("openapi.json") == openapi(), "static/openapi.json is not what the code says; {AGAIN}");
    assert!(checked_in("postman.json") == postman(), "static/postman.json is not what the code says; {AGAIN}");
}

/// Calls a function with every object in a value.
fn objects<'v>(value: &'v Value, each: &mut impl FnMut(&'v Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            each(object);
            object.values().for_each(|value| objects(value, each));
        }
        Value::Array(values) => values.iter().for_each(|value| objects(value, each)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    objects(&document, &mut |object| {
        if let Some(Value::String(reference)) = object.get("$ref") {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            used.insert(pointer.to_owned());
        }
    });
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().expect("components").keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(used.contains(&pointer), "nothing refers to {pointer}");
        }
    }
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn operations_have_names_of_their_own_and_tags_that_there_are() {
    let document = document();
    let mut names = BTreeSet::new();
    let tags: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            assert!(tags.contains(operation["tags"][0].as_str().expect("a tag")), "{method} {path}");
            assert!(
                operation["summary"].is_string() && operation["responses"].get("default").is_some(),
                "{method} {path}"
            );
            let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let described = operation["parameters"].as_array().cloned().unwrap_or_default();
            for part in parts {
                assert!(
                    described.iter().any(|one| one["name"] == part && one["required"] == true),
                    "{method} {path}: {part}"
                );
            }
        }
    }
}

#[test]
fn every_path_of_the_older_dialect_is_a_route() {
    for path in document()["paths"].as_object().expect("paths").keys().filter(|path| path.starts_with("/api/")) {
        assert!(modelslab::route(&path.replace("{id}", "7")).is_some(), "{path}");
    }
}

/// Every example of a request in the document, by the operation it belongs to.
fn examples(document: &Value) -> Vec<(String, Value)> {
    let empty = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&empty);
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    operations
        .filter_map(|operation| {
            let id = operation["operationId"].as_str()?.to_owned();
            let example = operation.pointer("/requestBody/content/application~1json/example")?.clone();
            Some((id, example))
        })
        .collect()
}

/// An example that the reader of its operation would refuse would send everyone who copies it astray.
#[test]
fn every_example_is_read() {
    let document = document();
    let examples = examples(&document);
    assert!(examples.len() > 50, "{}", examples.len());
    let paths = document["paths"].as_object().expect("paths");
    for (id, example) in examples {
        let fields = example.as_object().expect("an object");
        let path = paths.iter().find(|(_, item)| item["post"]["operationId"] == *id).expect("a path").0;
        let problems = match id.as_str() {
            "makeImages" | "estimateImages" => image_request(fields, 7).map(drop),
            "createKey" => NewKey::read(fields).map(drop),
            "createWebhook" => NewWebhook::read(fields).map(drop),
            "setPlan" => NewPlan::read(fields).map(drop),
            "grantCredits" => NewGrant::read(fields).map(drop),
            "signUp" => crate::fields::Reader::strict(fields).finish(),
            _ => older(path, fields),
        };
        assert_eq!(problems, Ok(()), "{id}: {example}");
    }
}

fn older(path: &str, fields: &crate::body::Fields) -> Result<(), Vec<crate::fields::FieldError>> {
    let modelslab::Route { family, call } = modelslab::route(&path.replace("{id}", "7")).expect("a route");
    match call {
        Call::Generate(operation) => modelslab::image_request(operation, family, fields, 7).map(drop),
        Call::SuperResolution => modelslab::super_resolution(fields).map(drop),
        Call::Fetch(id) => modelslab::read::fetch(id.as_deref(), fields).map(drop),
        Call::Base64ToUrl => modelslab::read::base64_to_url(fields).map(drop),
        Call::Base64Crop => modelslab::read::base64_crop(fields).map(drop),
        Call::DeleteImage => modelslab::read::delete_image(fields).map(drop),
        Call::NsfwImageCheck => modelslab::read::nsfw_image_check(fields).map(drop),
        Call::VerifyModel | Call::ModelReload => modelslab::read::model_id(fields).map(drop),
        Call::AssetsGenerated => modelslab::read::assets_generated(fields).map(drop),
        _ => Ok(()),
    }
}

/// What the strict reader knows is what the schema has, task by task, and the other way round.
#[test]
fn the_schema_of_a_task_has_the_fields_of_its_reader() {
    let document = document();
    for (schema, task, needed) in [
        ("GenerateRequest", "generate", json!({ "prompt": "x" })),
        ("EditRequest", "edit", json!({ "prompt": "x", "image": { "upload": "up_1" } })),
        (
            "InpaintRequest",
            "inpaint",
            json!({ "prompt": "x", "image": { "upload": "up_1" }, "mask": { "upload": "up_2" } }),
        ),
        ("UpscaleRequest", "upscale", json!({ "image": { "upload": "up_1" } })),
    ] {
        let schema = &document["components"]["schemas"][schema];
        let mut fields = needed.as_object().expect("an object").clone();
        fields.insert("task".to_owned(), task.into());
        let required: BTreeSet<&str> =
            schema["required"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(required, fields.keys().map(String::as_str).collect(), "{task}");
        assert!(image_request(&fields, 7).is_ok());
        for (name, property) in schema["properties"].as_object().expect("properties") {
            // `null` stands for absent in every field that may be, and for nothing in the others.
            let mut with_null = fields.clone();
            with_null.insert(name.clone(), Value::Null);
            assert_eq!(image_request(&with_null, 7).is_err(), required.contains(name.as_str()), "{task}: {name}");
            for bound in ["minimum", "maximum"] {
                let Some(bound_value) = property.get(bound) else { continue };
                let mut at_bound = fields.clone();
                at_bound.insert(name.clone(), bound_value.clone());
                assert!(image_request(&at_bound, 7).is_ok(), "{task}: {name} at its {bound}");
                let beyond = if bound == "minimum" { -1.0 } else { 1.0 } + bound_value.as_f64().expect("a number");
                at_bound.insert(
                    name.clone(),
                    if beyond.fract() == 0.0 && beyond.abs() < 1e9 { json!(beyond as i64) } else { json!(beyond) },
                );
                assert!(image_request(&at_bound, 7).is_err(), "{task}: {name} beyond its {bound}");
            }
        }
        let mut unknown = fields.clone();
        unknown.insert("unheard_of".to_owned(), 1.into());
        assert!(image_request(&unknown, 7).is_err());
        assert_eq!(schema["additionalProperties"], false);
    }
}

#[test]
fn the_collection_has_every_operation() {
    let document = document();
    let collection: Value = serde_json::from_str(&postman()).expect("JSON");
    let operations: usize = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .map(|item| item.as_object().expect("an item").len())
        .sum();
    let requests: Vec<&Value> = collection["item"]
        .as_array()
        .expect("folders")
        .iter()
        .flat_map(|folder| folder["item"].as_array().expect("requests"))
        .collect();
    assert_eq!(requests.len(), operations);
    let make = requests.iter().find(|one| one["request"]["url"]["raw"] == "{{base_url}}/v1/images").expect("it");
    assert!(make["request"]["body"]["raw"].as_str().expect("a body").contains("a red apple"));
    let older =
        requests.iter().find(|one| one["request"]["url"]["raw"] == "{{base_url}}/api/v3/fetch/:id").expect("it");
    assert!(older["request"]["body"]["raw"].as_str().expect("a body").contains("\"key\": \"{{key}}\""));
    assert_eq!(older["request"]["url"]["variable"][0]["key"], "id");
    assert!(matches!(
        modelslab::route("/api/v3/text2img").expect("a route").call,
        Call::Generate(Operation::TextToImage)
    ));
}
