//! Jobs: what becomes of a request for pictures.

use crate::{
    body::Fields,
    fields::{FieldError, Reader},
    node::Preview,
    request::Task,
};
use serde::{Deserialize, Serialize};
use spec::{Phase, Progress};

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum JobStatus {
    /// It waits for a node.
    Queued,
    /// A node has it.
    Running,
    /// Its pictures are stored, and their links answer.
    Succeeded,
    /// It was given up, and its credits are back.
    Failed,
    /// Its owner took it back, and its credits are back.
    Cancelled,
}

impl JobStatus {
    /// Whether nothing can happen to it any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TaskKind {
    /// Words become pictures.
    Generate,
    /// A picture and words become pictures.
    Edit,
    /// A picture's masked part is painted anew.
    Inpaint,
    /// A picture becomes larger.
    Upscale,
    /// A picture becomes the square in its middle, which the older dialect asks for.
    Crop,
    /// A picture is judged, which the older dialect asks for.
    Check,
}

impl From<&Task> for TaskKind {
    fn from(task: &Task) -> Self {
        match task {
            Task::Generate { .. } => Self::Generate,
            Task::Edit { .. } => Self::Edit,
            Task::Inpaint { .. } => Self::Inpaint,
            Task::Upscale { .. } => Self::Upscale,
            Task::Crop { .. } => Self::Crop,
            Task::Check { .. } => Self::Check,
        }
    }
}

/// How far a running job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobProgress {
    /// Where the run is.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::schema::phase))]
    pub phase: Phase,
    /// Steps done in this phase, 0 at its start.
    pub step: u32,
    /// Steps in this phase.
    pub of: u32,
}

impl From<Progress> for JobProgress {
    fn from(Progress { phase, step, of, .. }: Progress) -> Self {
        Self { phase, step, of }
    }
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PictureLink {
    /// Where it is, signed: whoever has the link has the picture.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::schema::url))]
    pub url: String,
    /// The seed that makes it again.
    #[cfg_attr(feature = "openapi", schema(format = "uint64"))]
    pub seed: u64,
    /// Pixels across.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub width: u32,
    /// Pixels down.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub height: u32,
    /// SHA-256 of its file, in hex.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// Whether the checker found something, and the picture was replaced.
    pub flagged: bool,
    /// Its file, base64, when the request asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub base64: Option<String>,
}

/// Why a job has no pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobError {
    /// For programs; `failed`, and words that may come later.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl JobError {
    /// A job that was given up, with the reason.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self { code: "failed".to_owned(), detail: detail.into() }
    }
}

/// Where a job is asked for, watched and taken back; paths below the server's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Links {
    /// The job itself.
    #[serde(rename = "self")]
    pub this: String,
    /// What happens to it, as server-sent events.
    pub events: String,
    /// Takes it back.
    pub cancel: String,
}

impl Links {
    /// The links of a job by its identifier, `job_…`.
    pub fn of(id: &str) -> Self {
        let this = format!("/v1/jobs/{id}");
        Self { events: format!("{this}/events"), cancel: format!("{this}/cancel"), this }
    }
}

/// A request for pictures and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(example = "job_7"))]
    pub id: String,
    /// Where it is.
    pub status: JobStatus,
    /// What is done.
    pub task: TaskKind,
    /// The model that runs it.
    #[cfg_attr(feature = "openapi", schema(example = "demo"))]
    pub model: String,
    /// Credits that it costs, and gives back when it ends without pictures.
    pub price: u64,
    /// When it was accepted.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    pub finished_at: Option<String>,
    /// Jobs before it in the queue, while it waits.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub position: Option<u64>,
    /// Seconds until it is done, as far as can be told.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 0))]
    pub eta_seconds: Option<f64>,
    /// How far it is, while it runs.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub progress: Option<JobProgress>,
    /// Its pictures, in the order of the batch.
    pub pictures: Vec<PictureLink>,
    /// Why it has none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub error: Option<JobError>,
    /// When its pictures are deleted.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    pub expires_at: Option<String>,
    /// Where it is asked for.
    pub links: Links,
}

/// Jobs of an account, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobList {
    /// One page of them.
    pub jobs: Vec<Job>,
    /// What `before` is for the next page; `null` on the last.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub next: Option<String>,
}

/// Which page of the jobs is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobListQuery {
    /// Jobs on a page, 1 to [`JobListQuery::MOST`].
    pub limit: u32,
    /// The identifier of the last job of the page before.
    pub before: Option<String>,
}

impl JobListQuery {
    /// Most jobs on a page.
    pub const MOST: u32 = 100;
    /// Jobs on a page when nobody says.
    pub const USUAL: u32 = 20;

    /// Reads the query of `GET /v1/jobs`, as [`form`](crate::body::form) reads it.
    ///
    /// # Errors
    /// Every parameter that cannot be used, and every one that there is not.
    pub fn read(query: &Fields) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::form(query);
        let limit = reader.whole_in(&["limit"], 1, Self::MOST).unwrap_or(Self::USUAL);
        let before = reader.text(&["before"]);
        reader.finish().map(|()| Self { limit, before })
    }
}

/// What a request would cost and how long it would take, as of now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// Credits.
    pub price: u64,
    /// Seconds until it would be done, as far as can be told.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 0))]
    pub eta_seconds: Option<f64>,
    /// Jobs that wait before it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub position: Option<u64>,
    /// The model that would run it.
    #[cfg_attr(feature = "openapi", schema(example = "demo"))]
    pub model: String,
}

/// One picture of a running job that is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Which picture of the batch.
    pub index: u32,
    /// The picture.
    pub picture: PictureLink,
}

/// Something that happened to a job; the words are those of the page's worker and of webhooks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum JobEvent {
    /// It got further.
    Progress(Progress),
    /// It looks like this so far.
    Preview(Preview),
    /// A picture is finished.
    Image(Image),
    /// It was given up.
    Error(JobError),
    /// It is over, however it ended; nothing follows.
    Done(Box<Job>),
}

impl JobEvent {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Progress(_) => "progress",
            Self::Preview(_) => "preview",
            Self::Image(_) => "image",
            Self::Error(_) => "error",
            Self::Done(_) => "done",
        }
    }

    /// Reads an event by its name and its data; `None` for names that are not known yet, which clients pass over.
    ///
    /// # Errors
    /// The data are not those of the event.
    pub fn read(name: &str, data: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match name {
            "progress" => Self::Progress(serde_json::from_str(data)?),
            "preview" => Self::Preview(serde_json::from_str(data)?),
            "image" => Self::Image(serde_json::from_str(data)?),
            "error" => Self::Error(serde_json::from_str(data)?),
            "done" => Self::Done(serde_json::from_str(data)?),
            _ => return Ok(None),
        }))
    }

    /// One message of an event stream (<https://html.spec.whatwg.org/multipage/server-sent-events.html>). `id` is what
    /// `Last-Event-ID` says when the stream is taken up again.
    pub fn message(&self, id: u64) -> String {
        // Names and values have no line ends of their own in compact JSON.
        let data = serde_json::to_string(self).unwrap_or_default();
        format!("id: {id}\nevent: {}\ndata: {data}\n\n", self.name())
    }
}
