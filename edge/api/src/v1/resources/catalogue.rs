//! What one may name in a request.

use crate::node::ModelOffer;
use serde::{Deserialize, Serialize};
use spec::SchedulerKind;

/// A model of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Model {
    /// Its name, which requests say.
    #[cfg_attr(feature = "openapi", schema(example = "demo"))]
    pub id: String,
    /// For people.
    pub title: String,
    /// `sd15`, `sd21`, `demo`, …
    pub family: String,
    /// Pixels along a side that it was trained for, the size of a request that says none.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub side: u32,
    /// Longest side that it takes.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub max_side: u32,
    /// Both sides must be multiples of this.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub multiple: u32,
    /// Tasks that it can do.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<super::TaskKind>))]
    pub tasks: Vec<String>,
    /// The scheduler that a request without one gets.
    pub scheduler: String,
    /// SHA-256 of its file or its manifest, in hex, by which the same pictures can be expected elsewhere.
    pub sha256: String,
    /// Whether a node has it right now.
    pub available: bool,
}

impl Model {
    /// A model as a node offers it.
    pub fn new(offer: ModelOffer, available: bool) -> Self {
        let ModelOffer { id, title, family, side, max_side, multiple, tasks, scheduler, sha256 } = offer;
        Self { id: id.into(), title, family, side, max_side, multiple, tasks, scheduler, sha256, available }
    }
}

/// Every model of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelList {
    /// In the order of their names.
    pub models: Vec<Model>,
}

/// A way to take noise away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scheduler {
    /// Its name, which requests say.
    #[cfg_attr(feature = "openapi", schema(example = "euler-a"))]
    pub id: String,
    /// The name that web UIs have for it.
    #[cfg_attr(feature = "openapi", schema(example = "Euler a"))]
    pub title: String,
    /// Whether every step draws fresh noise.
    pub ancestral: bool,
}

/// Every scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SchedulerList {
    /// In the order of a menu.
    pub schedulers: Vec<Scheduler>,
}

/// The answer to `GET /v1/schedulers`.
pub fn schedulers() -> SchedulerList {
    let scheduler = |kind: &SchedulerKind| Scheduler {
        id: kind.to_string(),
        title: kind.infotext_name(),
        ancestral: kind.is_ancestral(),
    };
    SchedulerList { schedulers: SchedulerKind::ALL.iter().map(scheduler).collect() }
}
