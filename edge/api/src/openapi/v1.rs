//! The operations of `/v1`, of the administrator and of the service itself.

use super::operation::{Described, Describing, binary, describe, header, json_response, named, text};
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, HttpMethod, ObjectBuilder, Response, ResponseBuilder, Schema, Type,
    path::ParameterIn::{Header, Path, Query},
};

/// What can go wrong with every call under a key.
const KEYED: [u16; 6] = [401, 403, 404, 429, 500, 503];
/// The same for calls that read a body.
const READING: [u16; 10] = [400, 401, 402, 403, 409, 413, 415, 422, 429, 503];

/// Every operation.
pub fn operations() -> Vec<Described> {
    let mut all = images();
    all.extend(jobs());
    all.extend(catalogue());
    all.extend(account());
    all.extend(keys());
    all.extend(webhooks());
    all.extend(administration());
    all.extend(service());
    all
}

fn get(path: &str, id: &str, tag: &str, summary: &str) -> Describing {
    describe(HttpMethod::Get, path, id, tag, summary)
}

fn post(path: &str, id: &str, tag: &str, summary: &str) -> Describing {
    describe(HttpMethod::Post, path, id, tag, summary)
}

fn delete(path: &str, id: &str, tag: &str, summary: &str) -> Describing {
    describe(HttpMethod::Delete, path, id, tag, summary)
}

impl Describing {
    fn keyed(self) -> Self {
        self.security(&[Some("key")])
    }

    fn job(self) -> Self {
        self.part("id", "The job", "job_")
    }
}

/// A request as the shortest example has it.
pub fn example() -> Value {
    json!({ "task": "generate", "prompt": "a red apple on a wooden table", "model": "demo", "width": 64, "height": 64, "seed": 7 })
}

fn form() -> Content {
    ContentBuilder::new().schema(Some(named("ImageForm"))).build()
}

fn request_body(call: Describing) -> Describing {
    let json = ContentBuilder::new().schema(Some(named("ImageRequest"))).example(Some(example())).build();
    call.body(true, [("application/json", json), ("multipart/form-data", form())])
}

fn images() -> Vec<Described> {
    let make = post("/v1/images", "makeImages", "Images", "Makes pictures").about(
        "Accepts a request and answers 202 with the job at once. `Prefer: wait=N` waits up to 60 seconds for its end and answers 200 then. \
         `Accept: image/png` waits as long and answers with the first picture itself. `Accept: text/event-stream` answers with the \
         job's events, as `GET /v1/jobs/{id}/events` does.",
    );
    let make = make
        .parameter(Header, "Prefer", "`wait=N`: seconds to wait for the pictures, 60 at most", text())
        .parameter(Header, "Idempotency-Key", "The same for every try of one request", idempotency_key());
    let estimate = post("/v1/images/estimate", "estimateImages", "Images", "Says what a request would cost")
        .about("Reads the same body, and makes and charges nothing.");
    vec![
        request_body(make).response(200, made()).response(202, accepted()).problems(&READING).keyed().done(),
        request_body(estimate)
            .answer(200, "Its price and how long it would take now", "Estimate")
            .problems(&READING)
            .keyed()
            .done(),
    ]
}

fn idempotency_key() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$")).build().into()
}

fn made() -> Response {
    json_response("The job, over; or its first picture; or its events", "Job")
        .content("image/png", ContentBuilder::new().schema(Some(binary())).build())
        .content("text/event-stream", ContentBuilder::new().schema(Some(text())).build())
        .header("Location", header("Where the job is asked for"))
        .header("Seed", header("The seed of the picture, where that is the answer"))
        .build()
}

fn accepted() -> Response {
    json_response("The job, accepted", "Job")
        .header("Location", header("Where the job is asked for"))
        .header("Retry-After", header("Seconds after which it may be over"))
        .header("Preference-Applied", header("The wait that was kept"))
        .header("Idempotency-Replayed", header("Whether this was answered before"))
        .build()
}

fn jobs() -> Vec<Described> {
    let limit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(100))
        .default(Some(json!(20)))
        .build();
    let before = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^job_[0-9A-Za-z_-]{1,59}$")).build();
    let events = ResponseBuilder::new()
        .description(
            "Events `progress`, `preview`, `image`, `error` and `done`; each has an `id`, and after `done` nothing follows",
        )
        .content("text/event-stream", ContentBuilder::new().schema(Some(text())).build())
        .build();
    vec![
        get("/v1/jobs", "listJobs", "Jobs", "Lists jobs, the newest first")
            .parameter(Query, "limit", "Jobs on a page", Schema::from(limit))
            .parameter(Query, "before", "The `next` of the page before", Schema::from(before))
            .answer(200, "A page of jobs", "JobList")
            .problems(&[401, 403, 404, 422, 429, 503])
            .keyed()
            .done(),
        get("/v1/jobs/{id}", "getJob", "Jobs", "Says how a job is")
            .job()
            .answer(200, "The job", "Job")
            .problems(&KEYED)
            .keyed()
            .done(),
        delete("/v1/jobs/{id}", "deleteJob", "Jobs", "Deletes a job's pictures")
            .about("A job that is not over is taken back first.")
            .job()
            .empty(204, "They are gone")
            .problems(&KEYED)
            .keyed()
            .done(),
        get("/v1/jobs/{id}/events", "watchJob", "Jobs", "Tells what happens to a job, as it happens")
            .about(
                "Server-sent events, each with an `id`: `progress` `{phase, step, of, seconds_per_step, eta_seconds}`, `preview` \
                 `{index, png}` with a PNG file in base64, `image` `{index, picture}`, `error` `{code, detail}`, and at the end \
                 `done` with the job. A stream that breaks off is taken up again with `Last-Event-ID`.",
            )
            .job()
            .parameter(Header, "Last-Event-ID", "The last event that was read", digits())
            .response(200, events)
            .problems(&KEYED)
            .keyed()
            .done(),
        post("/v1/jobs/{id}/cancel", "cancelJob", "Jobs", "Takes a job back")
            .about("Its credits are given back. A job that is over stays as it is.")
            .job()
            .answer(200, "The job", "Job")
            .problems(&KEYED)
            .keyed()
            .done(),
        get("/pictures/{account}/{job}/{file}", "getPicture", "Jobs", "A picture, by its signed link")
            .about("Whoever has the link has the picture, until it expires or is deleted.")
            .part("account", "Whose it is", "acc_")
            .parameter(Path, "job", "Its job's number", digits())
            .part("file", "Its file", "[0-9A-Za-z]")
            .parameter(Query, "exp", "Until when the link works", text())
            .parameter(Query, "kid", "The key that signed it", text())
            .parameter(Query, "sig", "The signature", text())
            .response(200, picture())
            .empty(304, "It is the one that you have")
            .problems(&[403, 404])
            .done(),
    ]
}

fn digits() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]{1,15}$")).build().into()
}

fn picture() -> Response {
    ResponseBuilder::new()
        .description("The file")
        .content("image/png", ContentBuilder::new().schema(Some(binary())).build())
        .header("ETag", header("Its SHA-256"))
        .build()
}

fn catalogue() -> Vec<Described> {
    let file = || ContentBuilder::new().schema(Some(binary())).build();
    let form = ContentBuilder::new().schema(Some(named("UploadForm"))).build();
    vec![
        get("/v1/models", "listModels", "Catalogue", "Lists the models of the pool")
            .answer(200, "Every model that a node has, or had lately", "ModelList")
            .problems(&[503])
            .done(),
        get("/v1/schedulers", "listSchedulers", "Catalogue", "Lists the schedulers")
            .answer(200, "Every scheduler", "SchedulerList")
            .problems(&[503])
            .done(),
        post("/v1/uploads", "createUpload", "Uploads", "Stores a picture for later requests")
            .about("PNG, JPEG or WebP, as the body itself or as the one file of a form. It is kept for 24 hours.")
            .body(
                true,
                [
                    ("image/png", file()),
                    ("image/jpeg", file()),
                    ("image/webp", file()),
                    ("application/octet-stream", file()),
                    ("multipart/form-data", form),
                ],
            )
            .answer(201, "The upload", "Upload")
            .problems(&[400, 401, 403, 413, 422, 429, 503])
            .keyed()
            .done(),
        delete("/v1/uploads/{id}", "deleteUpload", "Uploads", "Deletes an upload")
            .part("id", "The upload", "up_")
            .empty(204, "It is gone")
            .problems(&KEYED)
            .keyed()
            .done(),
    ]
}

fn account() -> Vec<Described> {
    vec![
        post("/v1/accounts", "signUp", "Account", "Opens an account")
            .about("With credits for the first pictures. The key is shown this once. A few a day from one address.")
            .body(
                false,
                [(
                    "application/json",
                    ContentBuilder::new().schema(Some(named("Nothing"))).example(Some(json!({}))).build(),
                )],
            )
            .answer(201, "The account and its first key", "AccountCreated")
            .problems(&[400, 413, 415, 422, 429, 503])
            .done(),
        get("/v1/account", "getAccount", "Account", "Says what the account is")
            .answer(200, "The account", "Account")
            .problems(&KEYED)
            .keyed()
            .done(),
        delete("/v1/account", "deleteAccount", "Account", "Deletes the account and everything in it")
            .about("From this answer on no key works; the rest is gone soon.")
            .empty(202, "It has begun")
            .problems(&KEYED)
            .keyed()
            .done(),
        get("/v1/account/export", "exportAccount", "Account", "Gives out everything that is kept of the account")
            .answer(200, "Everything, but no key, hash or secret", "Export")
            .problems(&KEYED)
            .keyed()
            .done(),
        get("/v1/usage", "getUsage", "Account", "Says what was used and what may be")
            .answer(200, "The month so far", "Usage")
            .problems(&KEYED)
            .keyed()
            .done(),
    ]
}

fn keys() -> Vec<Described> {
    let key = |call: Describing| call.part("id", "The key's identifier, not the key", "key_").problems(&KEYED).keyed();
    vec![
        get("/v1/keys", "listKeys", "Account", "Lists keys")
            .answer(200, "Those that are valid", "KeyList")
            .problems(&KEYED)
            .keyed()
            .done(),
        post("/v1/keys", "createKey", "Account", "Makes a key")
            .json("NewKey", json!({ "kind": "publishable", "name": "shop window", "origins": ["https://example.com"] }))
            .answer(201, "The key, shown this once", "KeyCreated")
            .problems(&READING)
            .keyed()
            .done(),
        key(post("/v1/keys/{id}/rotate", "rotateKey", "Account", "Gives a key another secret"))
            .about("The old one is dead before this is answered.")
            .answer(200, "The key, shown this once", "KeyCreated")
            .done(),
        key(delete("/v1/keys/{id}", "deleteKey", "Account", "Deletes a key")).empty(204, "It is dead").done(),
    ]
}

fn webhooks() -> Vec<Described> {
    vec![
        get("/v1/webhooks", "listWebhooks", "Webhooks", "Lists receivers")
            .answer(200, "Every receiver", "WebhookList")
            .problems(&KEYED)
            .keyed()
            .done(),
        post("/v1/webhooks", "createWebhook", "Webhooks", "Makes a receiver")
            .json("NewWebhook", json!({ "url": "https://example.com/hook", "events": ["job.succeeded", "job.failed"] }))
            .answer(201, "The receiver and its secret, shown this once", "WebhookCreated")
            .problems(&READING)
            .keyed()
            .done(),
        delete("/v1/webhooks/{id}", "deleteWebhook", "Webhooks", "Deletes a receiver")
            .part("id", "The receiver", "wh_")
            .empty(204, "It is told nothing any more")
            .problems(&KEYED)
            .keyed()
            .done(),
        get("/v1/webhooks/deliveries", "listDeliveries", "Webhooks", "Lists what was told to whom")
            .answer(200, "The newest deliveries", "DeliveryList")
            .problems(&KEYED)
            .keyed()
            .done(),
        post("/v1/webhooks/deliveries/{id}/replay", "replayDelivery", "Webhooks", "Sends a delivery again")
            .part("id", "The delivery", "msg_")
            .empty(202, "It will be tried at once")
            .problems(&KEYED)
            .keyed()
            .done(),
    ]
}

fn administration() -> Vec<Described> {
    const PROBLEMS: [u16; 8] = [400, 401, 404, 413, 415, 422, 500, 503];
    let admin = |call: Describing| call.problems(&PROBLEMS).security(&[Some("adminToken")]);
    let of_account = |what: &str, id: &str, summary: &str| {
        let path = format!("/admin/accounts/{{id}}/{what}");
        admin(post(&path, id, "Administration", summary).part("id", "The account", "acc_")).answer(
            200,
            "The account",
            "AdminAccount",
        )
    };
    vec![
        of_account("plan", "setPlan", "Puts an account on a plan").json("NewPlan", json!({ "plan": "premium" })).done(),
        of_account("grant", "grantCredits", "Gives an account credits")
            .json("NewGrant", json!({ "credits": 100 }))
            .done(),
        of_account("suspend", "suspendAccount", "Suspends an account").done(),
        of_account("resume", "resumeAccount", "Takes a suspension back").done(),
        admin(get("/admin/pool", "getPool", "Administration", "Says how the pool is"))
            .answer(200, "The pool", "PoolStatus")
            .done(),
        admin(post("/admin/sweep", "sweep", "Administration", "Does everything that is due"))
            .answer(200, "What was done", "Swept")
            .done(),
    ]
}

fn service() -> Vec<Described> {
    let alive = ResponseBuilder::new()
        .description("`ok`")
        .content("text/plain", ContentBuilder::new().schema(Some(text())).build())
        .build();
    let document = ResponseBuilder::new()
        .description("This document")
        .content("application/json", ContentBuilder::new().schema(Some(named("Document"))).build())
        .build();
    vec![
        get("/livez", "isAlive", "Service", "Whether the edge answers").response(200, alive).problems(&[]).done(),
        get("/readyz", "isReady", "Service", "Whether pictures can be made")
            .answer(200, "A node is there", "Readiness")
            .answer(503, "No node is there", "Readiness")
            .problems(&[])
            .done(),
        get("/openapi.json", "getDocument", "Service", "This document").response(200, document).problems(&[]).done(),
    ]
}
