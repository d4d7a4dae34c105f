//! An edge that hands out the leases that a test wants, and writes down what the node says.

use api::node::{End, Heard, Lease, LeaseReply, LeaseRequest, Outcome, Report, SHA256_HEADER};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    routing::{get, post, put},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::Notify, time::timeout};

/// Must not be printed by anyone.
pub const TOKEN: &str = "planted-node-token-5d1f";
/// Longest that a test waits for something that should happen.
const PATIENCE: Duration = Duration::from_mins(4);

/// A picture that was handed in.
#[derive(Debug, Clone)]
pub struct Upload {
    pub index: u32,
    pub sha256: String,
    pub bytes: Vec<u8>,
}

/// What the edge knows.
#[derive(Debug, Default)]
pub struct Book {
    waiting: VecDeque<Lease>,
    /// Inputs by name.
    pub inputs: BTreeMap<String, Vec<u8>>,
    /// Jobs whose leases are over.
    pub over: BTreeSet<u64>,
    /// Every lease request.
    pub asked: Vec<LeaseRequest>,
    /// Reports by job.
    pub reports: BTreeMap<u64, Vec<Report>>,
    /// Pictures by job.
    pub uploads: BTreeMap<u64, Vec<Upload>>,
    /// Ends by job.
    pub ends: BTreeMap<u64, End>,
    /// Traces of every call about a job.
    pub traces: BTreeSet<String>,
    /// What was answered to reports.
    pub previews: bool,
    /// Calls with a wrong token.
    pub strangers: u32,
}

impl Book {
    /// How a job ended.
    pub fn outcome(&self, job: u64) -> Option<&Outcome> {
        self.ends.get(&job).map(|end| &end.outcome)
    }

    /// Progress of a job, as it was told.
    pub fn steps(&self, job: u64) -> usize {
        self.reports.get(&job).map_or(0, |reports| reports.iter().filter(|report| report.progress.is_some()).count())
    }
}

#[derive(Default)]
struct Shared {
    book: Mutex<Book>,
    news: Notify,
}

type Edge = State<Arc<Shared>>;

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no handler panics")
    }

    /// The book, for a call about a job whose lease is alive.
    fn call(&self, headers: &HeaderMap, job: u64) -> Result<MutexGuard<'_, Book>, StatusCode> {
        let mut book = self.book();
        let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        if get("authorization") != format!("Bearer {TOKEN}") {
            book.strangers += 1;
            return Err(StatusCode::UNAUTHORIZED);
        }
        book.traces.insert(get("traceparent"));
        if book.over.contains(&job) { Err(StatusCode::CONFLICT) } else { Ok(book) }
    }
}

/// The edge; dropping it, or [`Stub::stop`], cuts every connection.
pub struct Stub {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Stub {
    pub fn start() -> Self {
        let mut stub = Self { shared: Arc::default(), address: SocketAddr::from(([127, 0, 0, 1], 0)), runtime: None };
        stub.resume();
        stub
    }

    /// Answers again, at the address it had.
    pub fn resume(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a thread can be started");
        let listener = runtime.block_on(TcpListener::bind(self.address)).expect("the port is free");
        self.address = listener.local_addr().expect("it listens");
        let router = Router::new()
            .route("/node/v1/lease", post(lease))
            .route("/node/v1/jobs/{account}/{job}/inputs/{name}", get(input))
            .route("/node/v1/jobs/{account}/{job}/events", post(events))
            .route("/node/v1/jobs/{account}/{job}/pictures/{index}", put(picture))
            .route("/node/v1/jobs/{account}/{job}/end", post(end))
            .with_state(Arc::clone(&self.shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        self.runtime = Some(runtime);
    }

    /// Answers nobody.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was said, and what will be answered.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book()
    }

    /// Hands these out, in one answer where the node wants so many.
    pub fn hand_out(&self, leases: impl IntoIterator<Item = Lease>) {
        self.book().waiting.extend(leases);
        self.shared.news.notify_waiters();
    }

    /// Waits until something is so.
    pub fn wait<T>(&self, what: &str, is_so: impl FnMut(&mut Book) -> Option<T>) -> T {
        let mut is_so = is_so;
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = is_so(&mut self.book()) {
                return found;
            }
            let book = self.book();
            assert!(Instant::now() < until, "{what} did not happen; ends: {:?}, asked {}", book.ends, book.asked.len());
            drop(book);
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a job ends, and says how.
    pub fn outcome(&self, job: u64) -> Outcome {
        self.wait(&format!("the end of job {job}"), |book| book.outcome(job).cloned())
    }

    /// Waits until a job is refused, and gives the sentence.
    pub fn refusal(&self, job: u64) -> String {
        match self.outcome(job) {
            Outcome::Refused { reason } => reason,
            other => panic!("job {job} ended as {other:?}"),
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, StatusCode> {
    serde_json::from_slice(body).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)
}

fn written(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("the wire's types are always JSON")
}

async fn lease(State(shared): Edge, headers: HeaderMap, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let request: LeaseRequest = read(&body)?;
    let (wanted, wait) = (request.wanted as usize, Duration::from_secs(request.wait_seconds.into()));
    shared.call(&headers, u64::MAX)?.asked.push(request);
    let take = || {
        let mut book = shared.book();
        let count = wanted.min(book.waiting.len());
        book.waiting.drain(..count).collect::<Vec<_>>()
    };
    // Listening begins before looking, so that nothing is missed in between.
    let news = shared.news.notified();
    tokio::pin!(news);
    news.as_mut().enable();
    let mut leases = take();
    if leases.is_empty() && wanted > 0 {
        timeout(wait, news).await.ok();
        leases = take();
    }
    Ok(written(&LeaseReply { leases }))
}

async fn input(
    State(shared): Edge,
    headers: HeaderMap,
    Path((_, job, name)): Path<(String, u64, String)>,
) -> Result<Vec<u8>, StatusCode> {
    let book = shared.call(&headers, job)?;
    book.inputs.get(&name).cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn events(
    State(shared): Edge,
    headers: HeaderMap,
    Path((_, job)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Vec<u8>, StatusCode> {
    let report: Report = read(&body)?;
    let mut book = shared.call(&headers, job)?;
    book.reports.entry(job).or_default().push(report);
    Ok(written(&Heard { previews: book.previews }))
}

async fn picture(
    State(shared): Edge,
    headers: HeaderMap,
    Path((_, job, index)): Path<(String, u64, u32)>,
    uri: Uri,
    bytes: Bytes,
) -> Result<StatusCode, StatusCode> {
    assert_eq!(uri.query(), Some("epoch=1"));
    let mut book = shared.call(&headers, job)?;
    let sha256 = headers.get(SHA256_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    book.uploads.entry(job).or_default().push(Upload { index, sha256, bytes: bytes.to_vec() });
    Ok(StatusCode::NO_CONTENT)
}

async fn end(
    State(shared): Edge,
    headers: HeaderMap,
    Path((_, job)): Path<(String, u64)>,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    let end: End = read(&body)?;
    let mut book = shared.call(&headers, job)?;
    assert!(book.ends.insert(job, end).is_none(), "job {job} ended twice");
    Ok(StatusCode::NO_CONTENT)
}
