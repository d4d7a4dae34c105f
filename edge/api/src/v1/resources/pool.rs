//! What the one who runs all this sees and does.

use crate::{
    body::Fields,
    fields::{FieldError, FieldProblem, Reader},
};
use serde::{Deserialize, Serialize};

/// A node that asked for work lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeStatus {
    /// Its own name.
    pub node: String,
    /// What it computes on.
    pub device: String,
    /// Jobs that it works on at a time.
    pub slots: u32,
    /// Models that it has, by name.
    pub models: Vec<String>,
    /// When it was heard of last.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub seen_at: String,
}

/// The pool of nodes and its queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolStatus {
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
    /// Jobs that wait.
    pub waiting: u64,
}

/// An account, after something was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AdminAccount {
    /// Its identifier.
    pub account: String,
    /// Its plan.
    pub plan: String,
    /// Credits that can be spent.
    pub credits: u64,
    /// Whether it may make no pictures any more.
    pub suspended: bool,
}

/// What the sweeper did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Swept {
    /// Files that were deleted.
    pub deleted: u64,
}

/// Whether requests can be answered, and what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Whether everything is there.
    pub ready: bool,
    /// Nodes that were heard of lately.
    pub nodes: u64,
}

/// Puts an account on a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPlan {
    /// The plan's name; whether there is such a plan is not checked yet.
    pub plan: String,
}

impl NewPlan {
    /// Reads `POST /admin/accounts/{id}/plan`.
    ///
    /// # Errors
    /// Every field that cannot be used, and every one that there is not.
    pub fn read(fields: &Fields) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::strict(fields);
        let plan = reader.required_text(&["plan"]);
        reader.finish().map(|()| Self { plan })
    }
}

/// Gives an account credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// How many.
    pub credits: u64,
}

impl NewGrant {
    /// Most credits at a time.
    pub const MOST: u32 = 1_000_000_000;

    /// Reads `POST /admin/accounts/{id}/grant`.
    ///
    /// # Errors
    /// Every field that cannot be used, and every one that there is not.
    pub fn read(fields: &Fields) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::strict(fields);
        let credits = reader.whole_in(&["credits"], 1, Self::MOST);
        if credits.is_none() && reader.raw(&["credits"]).is_none() {
            reader.refuse("credits", FieldProblem::Missing);
        }
        reader.finish().map(|()| Self { credits: u64::from(credits.unwrap_or(1)) })
    }
}
