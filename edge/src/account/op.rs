//! What the Worker asks of an account's object, and what it is answered.

use api::{
    modelslab::Family,
    node::{End, Report},
    request::ImageRequest,
    v1::DeliveryStatus,
};
use gateway::job::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::Progress;
use std::collections::BTreeMap;

/// A question, and who asks it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The object's own name, which it cannot ask for by itself.
    pub account: String,
    /// Who asks.
    pub by: By,
    /// What is asked.
    pub op: Op,
}

/// Who asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum By {
    /// Somebody with a key.
    Key(Credential),
    /// The Worker itself, for a node that has shown the node token, an administrator, or the sweeper.
    Edge,
}

/// A key and where it came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credential {
    /// SHA-256 of the key, hex.
    pub hash: String,
    /// The page's origin, where a browser says it.
    pub origin: Option<String>,
    /// What the key must be allowed to.
    pub scope: Scope,
    /// Whether this call counts against the rate limit; the second call of one request does not.
    pub counts: bool,
}

/// What a key may be allowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Make pictures and ask for them.
    Images,
    /// Everything about the account itself.
    Account,
}

impl Scope {
    /// The word in a key's list.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Account => "account",
        }
    }
}

/// A job by the number that the older dialect shows, or by our own name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum JobRef {
    /// Its number in its account.
    Number(u64),
    /// Its name, `job_…`.
    Id(String),
}

/// Everything that is asked of an account.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and read from text anyway")]
pub enum Op {
    /// Whether the key is good; what the account may do.
    Admit,
    /// Take a job: debit and record it. Answered by a [`JobRecord`].
    Accept(Accept),
    /// One job. [`JobRecord`].
    Job(JobRef),
    /// A page of jobs, newest first. `Vec<JobRecord>`.
    Jobs { limit: u32, before: Option<u64> },
    /// One job, once it is over or this long has passed. [`JobRecord`].
    Wait { job: JobRef, seconds: f64 },
    /// What happens to a job, as a stream of events after the last one that was seen.
    Events { job: JobRef, last: Option<u64> },
    /// Take a job back. [`JobRecord`].
    Cancel(JobRef),
    /// Delete a job's pictures. [`JobRecord`].
    DeleteJob(JobRef),
    /// [`Usage`].
    Usage,
    /// `Vec<KeyRecord>`.
    Keys,
    /// A new key; only its hash is told. [`KeyRecord`].
    CreateKey(NewKey),
    /// Another hash for a key, whose old one is dead from then on. [`KeyRecord`].
    RotateKey { id: String, hash: String, shown: String },
    /// `()`.
    DeleteKey { id: String },
    /// `Vec<WebhookRecord>`.
    Webhooks,
    /// [`WebhookRecord`].
    CreateWebhook { id: String, url: String, secret: [u8; 24], events: Vec<String> },
    /// `()`.
    DeleteWebhook { id: String },
    /// `Vec<DeliveryRecord>`.
    Deliveries,
    /// Send a delivery again. `()`.
    Replay { id: String },
    /// A picture was stored for later requests. `()`.
    AddUpload(UploadRecord),
    /// [`UploadRecord`].
    Upload { id: String },
    /// `Option<UploadRecord>`, the one that was deleted.
    DeleteUpload { id: String },
    /// [`AccountRecord`].
    Account,
    /// [`ExportRecord`].
    Export,
    /// Begin to delete the account. `()`.
    Delete,

    /// First call to a new account. `()`.
    Open { key: NewKey, plan: String },
    /// Give a queued job to a node. [`Granted`].
    Lease { job: u64, node: String },
    /// Whether a lease is the current one; its inputs. `BTreeMap<String, String>`.
    Check { job: u64, epoch: u32 },
    /// [`api::node::Heard`].
    Report { job: u64, report: Report },
    /// [`Ended`].
    End { job: u64, end: End },
    /// Do what is due. `()`.
    Sweep,
    /// `()`.
    SetPlan { plan: String },
    /// `()`.
    Grant { credits: u64 },
    /// `()`.
    Suspend { reason: Option<String> },
}

/// A job that is to be accepted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accept {
    /// Its name.
    pub id: String,
    /// The work; its pictures are named inputs.
    pub request: ImageRequest,
    /// Where the inputs are.
    pub inputs: BTreeMap<String, String>,
    /// The model that runs it.
    pub model: String,
    /// Who asked in which words, for webhooks and meta.
    pub dialect: Dialect,
    /// Beginning of every link.
    pub base: String,
    /// The trace it belongs to.
    pub traceparent: String,
    /// Expected seconds until it is over.
    pub eta: f64,
    /// Jobs that waited before it.
    pub position: u64,
    /// The client's own key for this request, and a hash of the request.
    pub idempotency: Option<(String, [u8; 32])>,
    /// Hash of the body, for the older dialect's filter.
    pub same_request: Option<u64>,
    /// Prefix of the pictures' file names.
    pub file_prefix: String,
    /// Whether a blocked term is in the prompt.
    pub is_blocked: bool,
}

/// Who asked in which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// `/v1`.
    V1,
    /// The Stable Diffusion API, and whether its family says `messege`.
    ModelsLab {
        /// Which family it came to.
        family: Family,
    },
}

/// A key, without the key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewKey {
    /// Its name, `key_…`.
    pub id: String,
    /// SHA-256 of the key, hex.
    pub hash: String,
    /// Its beginning.
    pub shown: String,
    /// Whether it may be seen by anyone.
    pub is_publishable: bool,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The pages that may use it.
    pub origins: Vec<String>,
}

/// A key, as it is listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key.
    #[serde(flatten)]
    pub key: NewKey,
    /// When it was made.
    pub created: u64,
    /// When it was used last.
    pub last_used: Option<u64>,
}

/// A finished picture.
pub use api::node::Made;

/// One job, with everything that any answer says of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its number in its account.
    pub number: u64,
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// Where it is.
    pub state: State,
    /// The last lease.
    pub epoch: u32,
    /// The work.
    pub request: ImageRequest,
    /// The model that runs it.
    pub model: String,
    /// Credits that it costs.
    pub price: u64,
    /// Who asked in which words.
    pub dialect: Dialect,
    /// Beginning of its links.
    pub base: String,
    /// When it was accepted.
    pub created: u64,
    /// When it ended.
    pub finished: Option<u64>,
    /// When its pictures go.
    pub expires: Option<u64>,
    /// What came of it.
    pub pictures: Vec<Made>,
    /// Seconds of work.
    pub seconds: f64,
    /// Why it failed.
    pub error: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Expected seconds, when it was accepted.
    pub eta: f64,
    /// Jobs that waited before it, when it was accepted.
    pub position: u64,
    /// Prefix of its files' names.
    pub file_prefix: String,
    /// Whether its pictures were deleted.
    pub is_deleted: bool,
    /// Share of a busy pool that its owner has.
    pub priority: u32,
    /// Whether this answer was given before, for the same `Idempotency-Key`.
    #[serde(default)]
    pub is_replay: bool,
}

/// A job, given to a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The lease.
    pub epoch: u32,
    /// How long it is, in milliseconds.
    pub lease_ms: u64,
    /// The job.
    pub job: JobRecord,
    /// Whether somebody looks at previews.
    pub previews: bool,
    /// The trace it belongs to.
    pub traceparent: String,
}

/// What a node's end of a lease came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Offer it to nodes again.
    pub again: Option<JobRecord>,
    /// Work and seconds, to learn the pool's pace from.
    pub measured: Option<(String, u64, f64)>,
}

/// The month so far.
#[derive(Debug, Serialize, Deserialize)]
pub struct Usage {
    /// The plan's name.
    pub plan: String,
    /// Credits that can be spent.
    pub credits: u64,
    /// Credits held for jobs that are not over.
    pub held: u64,
    /// Pictures made this month.
    pub images_this_month: u64,
    /// Pictures a month that the plan has.
    pub images_per_month: Option<u32>,
    /// Jobs that wait or run.
    pub queued: u32,
    /// Jobs that may wait or run.
    pub queued_jobs: u32,
    /// Requests in a window.
    pub requests_per_window: u32,
    /// Day, pictures, credits; newest first.
    pub days: Vec<(String, u64, u64)>,
}

/// A receiver.
#[derive(Debug, Serialize, Deserialize)]
pub struct WebhookRecord {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// What it wants to hear.
    pub events: Vec<String>,
    /// Whether it said that it is gone.
    pub is_disabled: bool,
    /// When it was made.
    pub created: u64,
}

/// A delivery to a receiver.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// The same over all tries.
    pub id: String,
    /// Where it goes.
    pub url: String,
    /// The job it tells of.
    pub job: String,
    /// Where it is.
    pub status: DeliveryStatus,
    /// When, and with which status; none where nobody answered.
    pub attempts: Vec<(u64, Option<u16>)>,
    /// When it is tried again.
    pub next: Option<u64>,
}

/// A picture that was sent before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadRecord {
    /// Its name.
    pub id: String,
    /// Where it is stored.
    pub object: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// SHA-256 of its file, hex.
    pub sha256: String,
    /// When it goes.
    pub expires: u64,
}

/// What the account says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its name.
    pub account: String,
    /// Its plan.
    pub plan: String,
    /// Credits that can be spent.
    pub credits: u64,
    /// Credits held for jobs.
    pub held: u64,
    /// Longest side the plan takes.
    pub side: u32,
    /// When it was opened.
    pub created: u64,
    /// Why it may do nothing.
    pub suspended: Option<String>,
}

/// Everything that is kept of an account, but no key, hash or secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportRecord {
    /// The account.
    pub account: AccountRecord,
    /// What it used.
    pub usage: Usage,
    /// Its keys.
    pub keys: Vec<KeyRecord>,
    /// Its jobs, newest first.
    pub jobs: Vec<JobRecord>,
    /// Its uploads.
    pub uploads: Vec<UploadRecord>,
    /// Its receivers.
    pub webhooks: Vec<WebhookRecord>,
    /// What was told to them.
    pub deliveries: Vec<DeliveryRecord>,
    /// Every change of its credits.
    pub ledger: Vec<Value>,
    /// What was noted about its use.
    pub audit: Vec<Value>,
}

/// The answer's way back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reply<T> {
    /// What was asked for, or why not.
    pub outcome: Result<T, Denied>,
    /// What the answer's `RateLimit` fields say.
    pub limit: Option<LimitState>,
}

/// What the answer's `RateLimit` fields say.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LimitState {
    /// Requests in a window.
    pub requests: u32,
    /// Length of the window.
    pub window_seconds: u32,
    /// Requests left right now.
    pub remaining: u32,
    /// Milliseconds until one more is admitted.
    pub retry_after_ms: u64,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denied {
    /// The key is not one of the account's.
    Unauthenticated,
    /// The key may not do this; or not from there.
    Forbidden(String),
    /// The account is suspended.
    Suspended(String),
    /// Too many requests.
    RateLimited,
    /// The same request came again within half a minute.
    SameRequest,
    /// Too many jobs wait.
    QueueFull(u32),
    /// Not enough credits.
    Insufficient {
        /// What it costs.
        price: u64,
        /// What is left.
        balance: u64,
    },
    /// The month's pictures are used up.
    Monthly,
    /// The plan does not allow these fields.
    Fields(Vec<(String, String)>),
    /// Words that are not drawn.
    Blocked,
    /// There is nothing of that name.
    NotFound,
    /// The lease is over.
    Stale(String),
    /// The `Idempotency-Key` was used for another request.
    Conflict(String),
    /// It cannot be used.
    Invalid(String),
    /// Not now.
    Unavailable(String),
    /// It is our fault.
    Internal(String),
}
