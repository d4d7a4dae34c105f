//! Resources as the documentation shows them.

use super::*;
use crate::{body::Fields, fields::FieldError};
use serde_json::{Value, json};

fn fields(value: &Value) -> Fields {
    value.as_object().expect("an object").clone()
}

fn said(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn job() -> Value {
    json!({
        "id": "job_7", "status": "succeeded", "task": "generate", "model": "demo", "price": 1,
        "created_at": "2026-11-21T13:31:44.123Z", "finished_at": "2026-11-21T13:31:46.000Z", "position": null, "eta_seconds": null,
        "progress": { "phase": "denoising", "step": 3, "of": 20 },
        "pictures": [{
            "url": "https://example.com/0.png", "seed": u64::MAX, "width": 64, "height": 64, "sha256": "00", "flagged": false,
        }],
        "error": { "code": "failed", "detail": "x" }, "expires_at": null,
        "links": { "self": "/v1/jobs/job_7", "events": "/v1/jobs/job_7/events", "cancel": "/v1/jobs/job_7/cancel" },
    })
}

#[test]
fn a_job_reads_back_as_it_was_written() {
    let read: Job = serde_json::from_value(job()).expect("a job");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), job());
    assert_eq!((read.links, read.status.is_over()), (Links::of("job_7"), true));
    assert!(!JobStatus::Queued.is_over() && !JobStatus::Running.is_over());
}

#[test]
fn events_have_one_line_of_data_and_read_back() {
    let events = [
        JobEvent::Error(JobError::failed("two\nlines")),
        JobEvent::Done(Box::new(serde_json::from_value(job()).expect("a job"))),
        JobEvent::Preview(crate::node::Preview { index: 1, png: "iVBO".to_owned() }),
    ];
    for event in events {
        let text = event.message(7);
        let lines: Vec<&str> = text.split('\n').collect();
        let [id, name, data, "", ""] = lines.as_slice() else { panic!("{text}") };
        assert_eq!((*id, name.strip_prefix("event: ")), ("id: 7", Some(event.name())));
        let data = data.strip_prefix("data: ").expect("data");
        assert_eq!(JobEvent::read(event.name(), data).expect("JSON"), Some(event));
    }
    assert_eq!(JobEvent::read("later", "{}").expect("passed over"), None);
    assert!(JobEvent::read("done", "{}").is_err());
}

#[test]
fn a_page_of_jobs_is_asked_for_in_the_query() {
    let page = |query: &str| JobListQuery::read(&crate::body::form(query.as_bytes()).expect("a query"));
    assert_eq!(page(""), Ok(JobListQuery { limit: 20, before: None }));
    assert_eq!(page("limit=100&before=job_7"), Ok(JobListQuery { limit: 100, before: Some("job_7".to_owned()) }));
    assert_eq!(said(&page("limit=0").expect_err("none")), ["limit is `0`, but must be at least 1"]);
    assert_eq!(said(&page("limt=5").expect_err("mistyped")), ["limt: there is no such field; did you mean limit?"]);
}

#[test]
fn keys_are_what_their_kind_allows() {
    let read = |value: Value| NewKey::read(&fields(&value));
    let secret = read(json!({ "kind": "secret" })).expect("a key");
    assert_eq!((secret.name.as_str(), secret.scopes), ("", vec![Scope::Images, Scope::Account]));
    let page = json!({ "kind": "publishable", "name": "shop", "scopes": ["images"], "origins": ["https://example.com", "http://localhost:8080", "http://[::1]:1"] });
    let page = read(page).expect("a key");
    assert_eq!((page.scopes, page.origins.len()), (vec![Scope::Images], 3));
    assert_eq!(
        read(json!({ "kind": "secret", "scopes": ["account", "account"] })).map(|key| key.scopes),
        Ok(vec![Scope::Account])
    );

    let refused = |value: Value| said(&read(value).expect_err("a wrong field")).join("; ");
    assert_eq!(refused(json!({})), "kind is required");
    assert_eq!(refused(json!({ "kind": "public" })), "kind is `public`, but must be one of secret, publishable");
    assert!(refused(json!({ "kind": "publishable" })).starts_with("origins must name one page"));
    assert!(
        refused(json!({ "kind": "secret", "origins": ["https://example.com"] }))
            .contains("must be left out for a secret key")
    );
    assert!(refused(json!({ "kind": "secret", "scopes": ["all"] })).contains("must be one of images, account"));
    assert!(
        refused(json!({ "kind": "publishable", "scopes": ["account"], "origins": ["https://a.b"] }))
            .contains("images alone")
    );
    assert!(refused(json!({ "kind": "secret", "name": "x".repeat(101) })).contains("100 characters at most"));
    assert!(refused(json!({ "kind": "secret", "nam": "x" })).contains("did you mean name?"));
    for origin in [
        "https://example.com/",
        "https://Example.com",
        "https://example.com:443",
        "http://a:80",
        "ftp://a",
        "null",
        "*",
        "https://",
        "https://a b",
        "https://a:0",
        "https://a:99999",
        "https://user@a",
        "https://*.example.com",
        "https://[::1",
        "https://[0::1]",
    ] {
        let errors = refused(json!({ "kind": "publishable", "origins": [origin] }));
        assert!(errors.contains("must be origins as https://example.com"), "{origin}: {errors}");
    }
}

#[test]
fn a_new_key_shows_what_is_kept_and_the_key() {
    let key = json!({
        "id": "key_1", "kind": "secret", "shown": "sk_live_ab12", "name": "", "scopes": ["images"], "origins": [],
        "created_at": "2026-11-21T13:31:44.123Z", "last_used_at": null,
    });
    let mut created = key.clone();
    created["key"] = "sk_live_ab12cd".into();
    let read: KeyCreated = serde_json::from_value(created.clone()).expect("a key");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), created);
    assert_eq!(serde_json::to_value(&read.about).expect("JSON"), key);
}

#[test]
fn webhooks_hear_everything_when_nothing_is_said() {
    let read = |value: Value| NewWebhook::read(&fields(&value));
    let all = read(json!({ "url": "https://example.com/hook" })).expect("a webhook");
    assert_eq!(all.events, WebhookEvent::ALL);
    let some = read(json!({ "url": "x", "events": ["job.failed", "job.failed"] })).expect("a webhook");
    assert_eq!(some.events, [WebhookEvent::Failed]);
    for event in WebhookEvent::ALL {
        assert_eq!(serde_json::to_value(event).expect("JSON"), event.as_str());
    }
    let errors = read(json!({ "events": ["job.done"] })).expect_err("two");
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0].to_string(), "url is required");
    assert!(
        errors[1].to_string().ends_with("must be one of job.succeeded, job.failed, job.cancelled"),
        "{}",
        errors[1]
    );
}

#[test]
fn the_catalogue_says_every_scheduler() {
    let list = serde_json::to_value(schedulers()).expect("JSON");
    assert_eq!(list["schedulers"][3], json!({ "id": "euler-a", "title": "Euler a", "ancestral": true }));
}

#[test]
fn the_one_who_runs_it_is_read_as_strictly() {
    assert_eq!(NewPlan::read(&fields(&json!({ "plan": "premium" }))), Ok(NewPlan { plan: "premium".to_owned() }));
    assert_eq!(NewGrant::read(&fields(&json!({ "credits": 100 }))), Ok(NewGrant { credits: 100 }));
    for wrong in [
        json!({}),
        json!({ "credits": 0 }),
        json!({ "credits": "100" }),
        json!({ "credits": 1.5 }),
        json!({ "credits": null }),
    ] {
        assert_eq!(NewGrant::read(&fields(&wrong)).expect_err("wrong").len(), 1, "{wrong}");
    }
}
