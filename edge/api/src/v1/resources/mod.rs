//! Everything that `/v1` answers with, thing by thing.
//!
//! Times are texts by RFC 3339, as [`rfc3339`](super::rfc3339) writes them; credits are whole numbers. Every type is read as well
//! as written, so that a client and the edge cannot disagree on a name.

mod account;
mod catalogue;
mod job;
mod key;
mod pool;
#[cfg(test)]
mod tests;
mod webhook;

pub use account::{Account, AccountCreated, Export, ExportedJob, Upload, Usage, UsageDay};
pub use catalogue::{Model, ModelList, Scheduler, SchedulerList, schedulers};
pub use job::{
    Estimate, Image, Job, JobError, JobEvent, JobList, JobListQuery, JobProgress, JobStatus, Links, PictureLink,
    TaskKind,
};
pub use key::{Key, KeyCreated, KeyKind, KeyList, NewKey, Scope};
pub use pool::{AdminAccount, NewGrant, NewPlan, NodeStatus, PoolStatus, Readiness, Swept};
pub use webhook::{
    Delivery, DeliveryAttempt, DeliveryList, DeliveryStatus, NewWebhook, Webhook, WebhookCreated, WebhookEvent,
    WebhookList,
};

/// A word of a closed set, by the name that serde gives it; `None` for any other.
fn word<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(word.into()).ok()
}

/// Schemas of what has none of its own.
#[cfg(feature = "openapi")]
mod schema {
    use utoipa::openapi::{ObjectBuilder, Schema, SchemaFormat, Type};

    pub fn phase() -> Schema {
        let phases = ["loading", "text", "denoising", "decoding"];
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(phases)).build().into()
    }

    pub fn url() -> Schema {
        let format = SchemaFormat::Custom("uri".to_owned());
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
    }
}
