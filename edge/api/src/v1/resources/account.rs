//! Accounts, what they used, and what they sent.

use super::{Delivery, Job, Key, Webhook};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(example = "acc_5fhK2m9QxW1"))]
    pub account: String,
    /// Its plan.
    #[cfg_attr(feature = "openapi", schema(example = "free"))]
    pub plan: String,
    /// When it signed up.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// Whether it may make no pictures any more.
    pub suspended: bool,
}

/// A new account; the only answer that has its first key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountCreated {
    /// Its identifier.
    pub account: String,
    /// Its first secret key in full, shown this once.
    #[cfg_attr(feature = "openapi", schema(example = "sk_live_…"))]
    pub key: String,
    /// Credits that it starts with.
    pub credits: u64,
}

/// What an account used and may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Its plan.
    pub plan: String,
    /// Credits that can be spent.
    pub credits: u64,
    /// Credits of jobs that are not over yet.
    pub held: u64,
    /// Pictures made in this calendar month (UTC).
    pub images_this_month: u64,
    /// Pictures that the plan has a month; `null` where credits alone count.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub images_per_month: Option<u64>,
    /// Jobs that wait or run.
    pub queued: u64,
    /// Jobs that may wait or run at a time.
    pub queued_jobs: u64,
    /// Requests in the plan's window of a few seconds, as `RateLimit-Policy` says it.
    pub requests_per_window: u64,
    /// The last days with pictures, the newest first.
    pub days: Vec<UsageDay>,
}

/// What an account used on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageDay {
    /// The day (UTC).
    #[cfg_attr(feature = "openapi", schema(format = Date, example = "2026-11-21"))]
    pub day: String,
    /// Pictures.
    pub images: u64,
    /// Credits.
    pub credits: u64,
}

/// A picture that was sent ahead of the requests that use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upload {
    /// What requests call it.
    #[cfg_attr(feature = "openapi", schema(example = "up_3"))]
    pub id: String,
    /// Pixels across.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub width: u32,
    /// Pixels down.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub height: u32,
    /// SHA-256 of its file, in hex.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// When it is deleted.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub expires_at: String,
}

/// A job with the request that it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportedJob {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// The request, as it was understood.
    pub request: Value,
}

/// Everything that is kept of an account, but no key, hash or secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Export {
    /// The account.
    pub account: Account,
    /// What it used.
    pub usage: Usage,
    /// Its keys, without the keys themselves.
    pub keys: Vec<Key>,
    /// Its jobs with their requests.
    pub jobs: Vec<ExportedJob>,
    /// Its uploads.
    pub uploads: Vec<Upload>,
    /// Its webhooks.
    pub webhooks: Vec<Webhook>,
    /// What was told to them.
    pub deliveries: Vec<Delivery>,
    /// Every change of its credits, in their order.
    pub ledger: Vec<Value>,
    /// What was noted about its use, in its order.
    pub audit: Vec<Value>,
}
