//! Webhooks and what was told to them.

use super::word;
use crate::{
    body::Fields,
    fields::{FieldError, FieldProblem, Reader},
};
use serde::{Deserialize, Serialize};

/// What a webhook can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WebhookEvent {
    /// A job has its pictures.
    #[serde(rename = "job.succeeded")]
    Succeeded,
    /// A job was given up.
    #[serde(rename = "job.failed")]
    Failed,
    /// A job was taken back.
    #[serde(rename = "job.cancelled")]
    Cancelled,
}

impl WebhookEvent {
    /// Every event, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The event's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "job.succeeded",
            Self::Failed => "job.failed",
            Self::Cancelled => "job.cancelled",
        }
    }
}

/// A receiver that is told of every job of its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(example = "wh_1"))]
    pub id: String,
    /// Its address.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::schema::url))]
    pub url: String,
    /// What it is told.
    pub events: Vec<WebhookEvent>,
}

/// The webhooks of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookList {
    /// In the order in which they were made.
    pub webhooks: Vec<Webhook>,
    /// What deliveries to addresses that came with a request are signed with.
    #[cfg_attr(feature = "openapi", schema(example = "whsec_…"))]
    pub request_secret: String,
}

/// A webhook that was just made; the only answer that has its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookCreated {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What its deliveries are signed with, as libraries of Standard Webhooks take it, shown this once.
    #[cfg_attr(feature = "openapi", schema(example = "whsec_…"))]
    pub secret: String,
}

/// Asks for a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Its address, not checked yet.
    pub url: String,
    /// What it is told; everything when nothing is said.
    #[serde(default)]
    pub events: Vec<WebhookEvent>,
}

impl NewWebhook {
    /// Reads `POST /v1/webhooks`.
    ///
    /// # Errors
    /// Every field that cannot be used, and every one that there is not.
    pub fn read(fields: &Fields) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::strict(fields);
        let url = reader.required_text(&["url"]);
        let words = reader.list(&["events"]);
        let mut events: Vec<WebhookEvent> = Vec::new();
        for text in &words {
            match word(text) {
                Some(event) if events.contains(&event) => {}
                Some(event) => events.push(event),
                None => {
                    let all = WebhookEvent::ALL.map(WebhookEvent::as_str).join(", ");
                    reader.refuse("events", FieldProblem::Unknown(all));
                }
            }
        }
        if words.is_empty() {
            events = WebhookEvent::ALL.to_vec();
        }
        reader.finish().map(|()| Self { url, events })
    }
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeliveryStatus {
    /// It will be tried, or tried again.
    Pending,
    /// The receiver took it.
    Delivered,
    /// It was tried for 75 hours.
    GivenUp,
    /// The receiver said that it is gone for good, or its webhook was deleted.
    Disabled,
}

/// One try of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryAttempt {
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub at: String,
    /// What the receiver answered; `null` when it did not, or not in time.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 100, maximum = 599))]
    pub status: Option<u16>,
}

/// Something that is told to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Its identifier, the `webhook-id` of every try.
    #[cfg_attr(feature = "openapi", schema(example = "msg_1"))]
    pub id: String,
    /// Where it goes.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::schema::url))]
    pub url: String,
    /// The job that it is about.
    pub job: String,
    /// Where it is.
    pub status: DeliveryStatus,
    /// Every try so far, the oldest first.
    pub attempts: Vec<DeliveryAttempt>,
    /// When it is tried next.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    pub next_at: Option<String>,
}

/// What was told to an account's receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryList {
    /// The newest first.
    pub deliveries: Vec<Delivery>,
}
