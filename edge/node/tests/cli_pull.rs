//! Models from a server that is shaped like the Hub.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode, header},
};
use golden::{Data, to_gguf};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use std::{
    fs,
    process::{Command, Output},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use weights::{Dtype, sha256_hex};

/// What the server has, and what it was asked.
struct Hub {
    bytes: Vec<u8>,
    /// As its list has it: `oid`, or `lfs` with one.
    entry: Value,
    /// Answers of bytes that break off in their middle.
    broken: Mutex<u32>,
    /// The other host, which files are redirected to.
    elsewhere: Mutex<String>,
    /// Path, range, authorization.
    asked: Mutex<Vec<(String, String, String)>>,
}

async fn answer(State(hub): State<Arc<Hub>>, request: Request<Body>) -> Response<Body> {
    let said = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (range, path) = (said(header::RANGE), request.uri().path().to_owned());
    hub.asked.lock().unwrap().push((path.clone(), range.clone(), said(header::AUTHORIZATION)));
    let response = Response::builder();
    match path.as_str() {
        "/api/models/someone/tiny/tree/main" => response.body(Body::from(json!([hub.entry]).to_string())).unwrap(),
        "/someone/tiny/resolve/main/tiny.gguf" => {
            let to = format!("{}/storage", hub.elsewhere.lock().unwrap());
            response.status(StatusCode::FOUND).header(header::LOCATION, to).body(Body::empty()).unwrap()
        }
        "/storage" => {
            let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (start, end) = (start.parse::<usize>().unwrap(), end.parse::<usize>().unwrap() + 1);
            let mut sent = hub.bytes[start..end].to_vec();
            let mut broken = hub.broken.lock().unwrap();
            if *broken > 0 {
                *broken -= 1;
                sent.truncate(sent.len() / 2);
            }
            let whole = format!("bytes {start}-{}/{}", end - 1, hub.bytes.len());
            let response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, whole);
            response.body(Body::from(sent)).unwrap()
        }
        _ => response.status(StatusCode::NOT_FOUND).body(Body::empty()).unwrap(),
    }
}

/// The server on two addresses, `127.0.0.1` and `localhost`, which are two hosts to a client.
fn start(bytes: Vec<u8>, sha256: Option<&str>, broken: u32) -> (Arc<Hub>, String) {
    let sha256 = sha256.map_or_else(|| sha256_hex(&bytes), str::to_owned);
    let pointer = "f".repeat(40);
    let mut entry = json!({ "type": "file", "path": "tiny.gguf", "size": bytes.len(), "oid": pointer });
    entry["lfs"] = json!({ "oid": sha256, "size": bytes.len() });
    serve(bytes, entry, broken)
}

fn serve(bytes: Vec<u8>, entry: Value, broken: u32) -> (Arc<Hub>, String) {
    let hub = Arc::new(Hub {
        bytes,
        entry,
        broken: Mutex::new(broken),
        elsewhere: Mutex::default(),
        asked: Mutex::default(),
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    *hub.elsewhere.lock().unwrap() = format!("http://localhost:{port}");
    let app = Router::new().fallback(answer).with_state(hub.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
        });
    });
    (hub, format!("http://127.0.0.1:{port}"))
}

fn darkroom(cache: &TempDir, endpoint: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(arguments)
        .env("XDG_CACHE_HOME", cache.path())
        .env("HF_ENDPOINT", endpoint)
        .env("HF_TOKEN", "hf_secret")
        .output()
        .unwrap()
}

fn model() -> Vec<u8> {
    to_gguf(&Data::folder().model("tiny-sd15").unwrap(), Dtype::F16).unwrap()
}

#[test]
fn a_model_is_pulled_goes_on_where_it_broke_off_and_is_listed_drawn_with_and_removed() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, endpoint) = start(model(), None, 2);
    let pulled = darkroom(&cache, &endpoint, &["pull", "someone/tiny"]);
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let file = cache.path().join("darkroom/models/someone/tiny/tiny.gguf");
    assert_eq!(fs::read(&file).unwrap(), hub.bytes);

    let asked = hub.asked.lock().unwrap().clone();
    let storage: Vec<_> = asked.iter().filter(|(path, ..)| path == "/storage").collect();
    assert_eq!(storage.len(), 3, "two answers broke off: {storage:?}");
    assert!(storage.iter().all(|(_, _, token)| token.is_empty()), "another host got the token");
    assert!(storage[1].1.starts_with("bytes=") && !storage[1].1.starts_with("bytes=0-"), "{storage:?}");
    assert!(asked.iter().filter(|(path, ..)| path != "/storage").all(|(_, _, token)| token == "Bearer hf_secret"));

    let listed = darkroom(&cache, &endpoint, &["models", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["models"][0]["name"], "someone/tiny");
    assert_eq!(listed["models"][0]["bytes"], hub.bytes.len());
    assert_eq!(listed["models"][0]["family"], "Stable Diffusion 1.x");

    let out = cache.path().join("a.png").display().to_string();
    let size = ["--width", "32", "--height", "32", "--steps", "1", "--out", &out];
    let asked = [&["generate", "--model", "someone/tiny", "--prompt", "a boat"][..], &size].concat();
    let drawn = darkroom(&cache, &endpoint, &asked);
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));

    assert!(darkroom(&cache, &endpoint, &["models", "remove", "someone/tiny"]).status.success());
    assert!(!file.exists());
    assert!(!darkroom(&cache, &endpoint, &["models", "remove", "someone/tiny"]).status.success());
}

#[test]
fn bytes_that_are_not_what_was_announced_are_thrown_away() {
    let cache = tempfile::tempdir().unwrap();
    let (_, endpoint) = start(model(), Some(&"0".repeat(64)), 0);
    let pulled = darkroom(&cache, &endpoint, &["pull", "someone/tiny"]);
    let error = String::from_utf8(pulled.stderr).unwrap();
    assert!(!pulled.status.success() && error.contains("was announced"), "{error}");
    assert!(!error.contains("hf_secret"));
    let folder = cache.path().join("darkroom/models/someone/tiny");
    assert!(!folder.join("tiny.gguf").exists() && !folder.join("tiny.gguf.part").exists());
    for name in ["someone", "../evil/x", "someone/.."] {
        assert!(!darkroom(&cache, &endpoint, &["pull", name]).status.success(), "{name}");
    }
}

#[test]
fn small_files_are_checked_by_what_git_calls_them() {
    let bytes = model();
    let hash = Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(&bytes).finalize();
    let hex = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    for (oid, is_right) in [(hex, true), ("0".repeat(40), false)] {
        let cache = tempfile::tempdir().unwrap();
        let entry = json!({ "type": "file", "path": "tiny.gguf", "size": bytes.len(), "oid": oid });
        let (_, endpoint) = serve(bytes.clone(), entry, 0);
        let pulled = darkroom(&cache, &endpoint, &["pull", "someone/tiny"]);
        let error = String::from_utf8(pulled.stderr).unwrap();
        assert_eq!(pulled.status.success(), is_right, "{error}");
        assert_eq!(error.contains("was announced"), !is_right, "{error}");
    }
}

#[test]
fn a_model_is_quantised_on_its_way() {
    let cache = tempfile::tempdir().unwrap();
    let (_, endpoint) = start(model(), None, 0);
    let pulled = darkroom(&cache, &endpoint, &["pull", "someone/tiny", "--quantise", "q8_0"]);
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    for kind in ["q4_k", "q5_1"] {
        let pulled = darkroom(&cache, &endpoint, &["pull", "someone/tiny", "--quantise", kind]);
        assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
        assert!(String::from_utf8_lossy(&pulled.stdout).contains(&kind.to_uppercase()));
    }
    let listed = darkroom(&cache, &endpoint, &["models"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains("someone/tiny-q8_0")
            && listed.contains("someone/tiny-q4_k")
            && !listed.contains("someone/tiny "),
        "{listed}"
    );
}
