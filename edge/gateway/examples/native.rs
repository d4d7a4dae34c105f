//! The edge's hot paths in native axum, to compare the Worker with: the same policy, and a file for each account that every
//! accepted job is appended to and synced (`cargo xtask bench edge`).
//!
//! Takes a port and a folder; prints `ready` when it answers.

use api::{body, v1};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use gateway::{
    api_key::ApiKey,
    clock::Millis,
    ledger::{JobNumber, Ledger},
    plan::Plans,
    pool::{Pool, Waiting},
    price,
    rate_limit::Log,
    signed_url::{self, Grant, SigningKey},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

struct Account {
    hash: String,
    log: Log,
    ledger: Ledger,
    last: JobNumber,
    jobs: HashMap<String, Value>,
    journal: File,
}

struct Edge {
    folder: PathBuf,
    plans: Plans,
    signing: SigningKey,
    accounts: Mutex<HashMap<[u8; 8], Arc<Mutex<Account>>>>,
    pool: Mutex<Pool>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let plans = std::env::var("PLANS").unwrap_or_else(|_| gateway::plan::DEFAULT.to_owned());
    let plans = Plans::parse(&plans).map_err(std::io::Error::other)?;
    std::fs::write(folder.join("picture"), [0_u8; 200])?;
    let edge = Edge {
        folder,
        plans,
        signing: SigningKey { id: 1, secret: [1; 32] },
        accounts: Mutex::default(),
        pool: Mutex::default(),
    };
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/v1/accounts", post(open))
        .route("/v1/images", post(accept))
        .route("/v1/jobs/{id}", get(job))
        .route("/pictures/{account}/{job}/{file}", get(picture))
        .with_state(Arc::new(edge));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ready");
    axum::serve(listener, router).await
}

fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn open(State(edge): State<Arc<Edge>>, body: Bytes) -> Response {
    let key = serde_json::from_slice::<Value>(&body).ok().and_then(|body| body["key"].as_str().map(str::to_owned));
    let Some(key) = key.and_then(|text| ApiKey::parse(&text).ok()) else { return answer(401, &Value::Null) };
    let path = edge.folder.join(format!("{:x}", u64::from_be_bytes(key.account())));
    let Ok(journal) = OpenOptions::new().create(true).append(true).open(path) else { return answer(500, &Value::Null) };
    let mut ledger = Ledger::default();
    if ledger.grant(100_000_000).is_err() {
        return answer(500, &Value::Null);
    }
    let account =
        Account { hash: key.hash().to_string(), log: Log::default(), ledger, last: 0, jobs: HashMap::new(), journal };
    lock(&edge.accounts).insert(key.account(), Arc::new(Mutex::new(account)));
    answer(201, &json!({}))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The account of a request's key.
fn account(edge: &Edge, headers: &HeaderMap) -> Option<(Arc<Mutex<Account>>, ApiKey)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let key = ApiKey::parse(text).ok()?;
    let account = lock(&edge.accounts).get(&key.account()).cloned()?;
    let is_its = lock(&account).hash == key.hash().to_string();
    is_its.then_some((account, key))
}

async fn accept(State(edge): State<Arc<Edge>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some((account, key)) = account(&edge, &headers) else { return answer(401, &Value::Null) };
    let Ok(fields) = body::json(&body) else { return answer(400, &Value::Null) };
    let Ok(request) = v1::image_request(&fields, 1) else { return answer(422, &Value::Null) };
    let Some(plan) = edge.plans.get("free").copied() else { return answer(500, &Value::Null) };
    let name = format!("{:x}", u64::from_be_bytes(key.account()));
    let work = price::work(&request);
    let accepted = tokio::task::spawn_blocking(move || {
        let mut account = lock(&account);
        if !account.log.admit(plan.limit(), now()).admitted {
            return Err(429);
        }
        let number = account.last + 1;
        account.ledger.reserve(number, price::price(&request)).map_err(|_| 402_u16)?;
        account.last = number;
        let id = format!("job_{number:032x}");
        let record = json!({ "id": id, "status": "queued", "request": request, "created_at": v1::rfc3339(now().0) });
        let written = writeln!(account.journal, "{record}").and_then(|()| account.journal.sync_data());
        written.map_err(|_| 500_u16)?;
        account.jobs.insert(id, record.clone());
        Ok((number, record))
    });
    match accepted.await {
        Ok(Ok((number, record))) => {
            lock(&edge.pool).offer(
                &name,
                plan.priority,
                Waiting { job: number, model: "demo".to_owned(), work, needs_checker: false },
            );
            answer(202, &record)
        }
        Ok(Err(status)) => answer(status, &Value::Null),
        Err(_) => answer(500, &Value::Null),
    }
}

async fn job(State(edge): State<Arc<Edge>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some((account, _)) = account(&edge, &headers) else { return answer(401, &Value::Null) };
    let Some(plan) = edge.plans.get("free") else { return answer(500, &Value::Null) };
    let mut account = lock(&account);
    if !account.log.admit(plan.limit(), now()).admitted {
        return answer(429, &Value::Null);
    }
    account.jobs.get(&id).map_or_else(|| answer(404, &Value::Null), |job| answer(200, job))
}

async fn picture(State(edge): State<Arc<Edge>>, Path((account, _, file)): Path<(String, String, String)>) -> Response {
    let path = format!("/pictures/{account}/1/{file}");
    let grant = Grant { method: "GET", path: &path, tenant: &account, expires: Millis(u64::MAX) };
    let query = signed_url::sign(&edge.signing, grant);
    let keys = std::slice::from_ref(&edge.signing);
    if signed_url::verify(keys, "GET", &path, &account, &query, now()).is_err() {
        return answer(403, &Value::Null);
    }
    match tokio::fs::read(edge.folder.join("picture")).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "image/png")], bytes).into_response(),
        Err(_) => answer(404, &Value::Null),
    }
}
