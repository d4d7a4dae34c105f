//! The description of both dialects as `OpenAPI` 3.1, and as a collection for Postman.
//!
//! What is answered is described by the types that are written; what is asked for is read field by field, and described here by
//! hand. Tests hold every example against the readers.

mod modelslab;
mod operation;
mod postman;
mod schemas;
mod v1;

#[cfg(test)]
mod tests;

use crate::v1::Code;
use operation::Described;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, Info, License, OpenApiBuilder, Ref, Response, ResponseBuilder,
    path::PathsBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

pub use postman::postman;

const ABOUT: &str = "Pictures from words and from other pictures, made by Stable Diffusion on nodes of your own.\n\n\
Two dialects lead to the same pictures. `/v1` is our own: strict, with every wrong field named at once, jobs with events, and \
problem details (RFC 9457) with stable codes. `/api/v3` to `/api/v7` are the Stable Diffusion API as stablediffusionapi.com and \
ModelsLab speak it: existing clients change a base URL and nothing else.\n\n\
**Keys.** `/v1` takes a key as `Authorization: Bearer sk_live_…`. A secret key stays on a server; a publishable key may stand in a \
page, makes pictures alone, and works from its origins.\n\n\
**Limits.** Every answer under a key says `RateLimit-Policy` and `RateLimit`; one that comes too early is answered 429 with \
`Retry-After`. Bodies have 10 MiB at most.\n\n\
**Once and no more.** A request with an `Idempotency-Key` can be sent again for 24 hours and is answered as it was the first time.\n\n\
**Credits.** A job holds its price from the moment it is accepted, and gives it back when it ends without pictures.";

/// The tags, in the order of the page.
const TAGS: [(&str, &str); 11] = [
    ("Images", "Makes pictures: generate, edit, inpaint, upscale."),
    ("Jobs", "What becomes of a request for pictures."),
    ("Catalogue", "What one may name in a request."),
    ("Uploads", "Pictures that are sent ahead of the requests that use them."),
    ("Account", "Signing up, keys, usage, everything that is kept, and its deletion."),
    (
        "Webhooks",
        "Receivers that are told when a job is over: a POST of `{\"type\": \"job.succeeded\", \"timestamp\": …, \"data\": Job}`, \
         signed by Standard Webhooks, tried for 75 hours until the receiver answers 2xx.",
    ),
    (
        "Stable Diffusion API",
        "The calls of stablediffusionapi.com and ModelsLab, answered with status 200 whatever happened, as their clients \
         expect; `status` says how it went. The key is a field of the body, `key`; the header fields `key`, `X-Api-Key` and \
         `Authorization: Bearer` and the query `key` are read too. Bodies are JSON or forms; numbers may be strings, switches \
         `yes` and `no`, and `null` leaves a field to us. Fields that nobody knows are passed over; fields that ask for a part \
         of the model that is not here are refused by name. GET works as POST does, and the same calls stand under every \
         version, `/api/v7` too.",
    ),
    ("Stable Diffusion API: files", "Pictures that are stored, judged and deleted."),
    ("Stable Diffusion API: account and pool", "What is left, what is there, and how busy it is."),
    ("Administration", "What the one who runs all this may do, with the admin token."),
    ("Service", "Whether it is alive, and this document."),
];

/// The document, as pretty JSON that ends with a line's end; the same bytes every time.
pub fn openapi() -> String {
    pretty(&document())
}

fn pretty(value: &Value) -> String {
    // Names are strings and numbers finite, so that writing them cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// The document.
fn document() -> Value {
    let mut described = v1::operations();
    described.extend(modelslab::operations());
    let mut paths = PathsBuilder::new();
    let mut items = BTreeMap::new();
    for Described { path, method, operation } in described {
        items.entry(path).or_insert_with(Vec::new).push((method, operation));
    }
    for (path, operations) in items {
        let item =
            operations.into_iter().fold(utoipa::openapi::path::PathItemBuilder::new(), |item, (method, operation)| {
                item.operation(method, operation)
            });
        paths = paths.path(path, item.build());
    }
    let mut info = Info::new("Darkroom", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    let mut license = License::new("MIT OR Apache-2.0");
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    info.license = Some(license);
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    let document =
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components())).tags(Some(tags)).build();
    // What it is made of has no numbers that are not finite and no names that are not strings.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let schemas = &mut document["components"]["schemas"];
    for (name, schema) in schemas::by_hand() {
        schemas[name] = schema;
    }
    document
}

fn components() -> Components {
    let bearer = |about: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build())
    };
    let header =
        |name: &str, about: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)));
    let mut components = ComponentsBuilder::new()
        .security_scheme("key", bearer("A key of an account, `sk_live_…` or `pk_live_…`."))
        .security_scheme("adminToken", bearer("The admin token of the installation."))
        .security_scheme("keyHeader", header("key", "A key of an account, in the dialect of the Stable Diffusion API."))
        .security_scheme("apiKeyHeader", header("x-api-key", "The same."))
        .security_scheme(
            "keyQuery",
            SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description("key", "The same."))),
        )
        .build();
    for (name, schema) in schemas::derived() {
        components.schemas.insert(name, schema);
    }
    let mut statuses: Vec<u16> = Code::ALL.iter().map(|code| code.status()).collect();
    statuses.dedup();
    for status in statuses {
        components.responses.insert(problem_name(status), problem(status).into());
    }
    components.responses.insert("Problem".to_owned(), any_problem().into());
    components
}

/// The name of the answer with a problem's status.
fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

fn problem(status: u16) -> Response {
    let codes: Vec<Code> = Code::ALL.into_iter().filter(|code| code.status() == status).collect();
    let about: Vec<String> = codes.iter().map(|code| format!("{} (`{}`)", code.title(), code.as_str())).collect();
    let example = codes.first().map(|&code| {
        let mut problem = json!(crate::v1::Problem::new(code, "what was wrong this time, and what to do"));
        if code == Code::InvalidRequest {
            problem["detail"] = "prompt is required".into();
            problem["errors"] = json!([{ "pointer": "/prompt", "detail": "prompt is required" }]);
        }
        problem
    });
    ResponseBuilder::new()
        .description(about.join(", or: "))
        .content("application/problem+json", problem_content(example))
        .build()
}

fn any_problem() -> Response {
    ResponseBuilder::new()
        .description("Anything else that went wrong")
        .content("application/problem+json", problem_content(None))
        .build()
}

fn problem_content(example: Option<Value>) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).example(example).build()
}
