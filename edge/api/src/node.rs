//! What nodes and the edge say to each other, version 1.
//!
//! Nodes ask; the edge never calls them, so they can stand behind any network. Every call carries the node token as
//! `Authorization: Bearer`. A lease has an epoch, one higher than the job's last, and whatever is said of a job says under which
//! epoch: a node whose lease is over is answered 409 and must forget the job. Times are lengths, never points, since clocks
//! differ.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /node/v1/lease` | [`LeaseRequest`] | [`LeaseReply`], after `wait_seconds` at most |
//! | `GET /node/v1/jobs/{account}/{job}/inputs/{name}?epoch=` | | the picture's bytes, as they were sent |
//! | `POST /node/v1/jobs/{account}/{job}/events` | [`Report`] | [`Heard`] |
//! | `PUT /node/v1/jobs/{account}/{job}/pictures/{index}?epoch=` | a PNG file, its SHA-256 in [`SHA256_HEADER`] | 204 |
//! | `POST /node/v1/jobs/{account}/{job}/end` | [`End`] | 204 |
//!
//! All of them answer 401 for a wrong token, 404 for a job that is not there, 409 for a lease that is over, and 422 for what
//! cannot be used.

use crate::request::ImageRequest;
use serde::{Deserialize, Serialize};
use spec::{ModelId, Progress};

/// The version of all this, sent with every lease request.
pub const VERSION: u32 = 1;
/// Header with the SHA-256 of an uploaded picture, in hex.
pub const SHA256_HEADER: &str = "x-darkroom-sha256";

/// A model that a node can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOffer {
    /// Its name, which requests say.
    pub id: ModelId,
    /// For people.
    pub title: String,
    /// `sd15`, `sd21`, `demo`, …
    pub family: String,
    /// Pixels along a side that it was trained for, the size of a request that says none.
    pub side: u32,
    /// Longest side that the node takes.
    pub max_side: u32,
    /// Both sides must be multiples of this.
    pub multiple: u32,
    /// Tasks it can do: words of [`Task::word`](crate::request::Task::word).
    pub tasks: Vec<String>,
    /// The scheduler that a request without one gets.
    pub scheduler: String,
    /// SHA-256 of its file or its manifest, in hex, by which the same pictures can be expected elsewhere.
    pub sha256: String,
}

/// Asks for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// [`VERSION`].
    pub version: u32,
    /// The node's own name, the same as long as it runs.
    pub node: String,
    /// What it computes on, for people.
    pub device: String,
    /// Everything it can do.
    pub models: Vec<ModelOffer>,
    /// Whether it can judge pictures; without that, requests for checked pictures do not come here.
    pub has_checker: bool,
    /// Jobs that it works on at a time.
    pub slots: u32,
    /// Jobs that it takes now, at most; 0 only says that it is there.
    pub wanted: u32,
    /// How long the edge may keep the call open when there is nothing to do, at most 20.
    pub wait_seconds: u32,
}

/// Work, or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaseReply {
    /// Jobs that are this node's now.
    pub leases: Vec<Lease>,
}

/// A job under a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose it is; opaque, part of the calls' paths.
    pub account: String,
    /// Its number in its account.
    pub job: u64,
    /// The lease.
    pub epoch: u32,
    /// The lease ends this long after the last report.
    pub lease_ms: u64,
    /// The work. Every picture in it is an [`ImageSource::Upload`](crate::request::ImageSource::Upload) with the input's name.
    pub request: ImageRequest,
    /// The model that runs it.
    pub model: ModelId,
    /// Whether its owner looks at previews right now.
    pub previews: bool,
    /// The trace it belongs to (W3C Trace Context).
    pub traceparent: String,
}

/// Keeps a lease alive and tells how far the job is; sent when something happened, and every third of the lease's length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The lease.
    pub epoch: u32,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// What a picture looks like so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Which picture of the batch.
    pub index: u32,
    /// A PNG file, base64.
    pub png: String,
}

/// What the edge says to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Whether its owner looks at previews right now.
    pub previews: bool,
}

/// The end of a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The lease.
    pub epoch: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a node's work ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Every picture is uploaded.
    Done {
        /// In the order of the batch.
        pictures: Vec<Made>,
        /// Seconds of work, without waiting for other jobs of the node.
        seconds: f64,
        /// Jobs that ran together with this one, itself included.
        batch: u32,
    },
    /// This node could not do it, another may.
    Failed {
        /// Why, for its owner: no paths, no prompt.
        reason: String,
    },
    /// Nobody could do it.
    Refused {
        /// What is wrong with the request, and what to do.
        reason: String,
    },
    /// The node stops and has not finished; this costs no attempt.
    HandedBack,
}

/// One finished picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// SHA-256 of its file, in hex.
    pub sha256: String,
    /// The seed that makes it again.
    pub seed: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Whether the checker found something, and the picture was replaced.
    pub is_flagged: bool,
}
