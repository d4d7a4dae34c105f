//! `/v1/webhooks`.

use crate::{
    account::op::{DeliveryRecord, Op, WebhookRecord},
    error::Result,
    http::{self, Call, Presented},
    inputs, random,
};
use api::v1::{
    Delivery, DeliveryAttempt, DeliveryList, NewWebhook, Webhook, WebhookCreated, WebhookEvent, WebhookList, rfc3339,
};
use gateway::webhook::Secret;
use worker::Response;

/// A receiver, as it is listed.
pub fn shown(record: WebhookRecord) -> Webhook {
    let events = WebhookEvent::ALL.into_iter().filter(|event| record.events.iter().any(|name| name == event.as_str()));
    Webhook { events: events.collect(), id: record.id, url: record.url }
}

/// Every receiver of the account, and the secret for addresses that come with requests.
pub async fn list(call: &Call, who: &Presented) -> Result<Response> {
    let (records, request_secret): (Vec<WebhookRecord>, String) = call.ask(who, Op::Webhooks).await?;
    http::json(200, &WebhookList { webhooks: records.into_iter().map(shown).collect(), request_secret })
}

/// Makes a receiver, and shows its secret this once.
pub async fn create(call: &Call, who: &Presented) -> Result<Response> {
    let (_, body) = call.body().await?;
    let NewWebhook { url, events } = NewWebhook::read(&body.fields)?;
    let checked = call.config.webhooks_to.check(&url);
    checked.map_err(|error| inputs::refused("url", &format!("cannot be used: {error}")))?;
    let secret: [u8; 24] = random::bytes()?;
    let op = Op::CreateWebhook {
        id: random::name("wh_")?,
        url,
        secret,
        events: events.iter().map(|event| event.as_str().to_owned()).collect(),
    };
    let record: WebhookRecord = call.ask(who, op).await?;
    http::json(201, &WebhookCreated { webhook: shown(record), secret: Secret::new(secret).reveal() })
}

/// Deletes a receiver.
pub async fn delete(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    call.ask::<()>(who, Op::DeleteWebhook { id: id.to_owned() }).await?;
    http::empty(204)
}

/// What was told to whom.
pub async fn deliveries(call: &Call, who: &Presented) -> Result<Response> {
    let records: Vec<DeliveryRecord> = call.ask(who, Op::Deliveries).await?;
    let deliveries = records.into_iter().map(delivery_shown);
    http::json(200, &DeliveryList { deliveries: deliveries.collect() })
}

/// Sends a delivery again.
pub async fn replay(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    call.ask::<()>(who, Op::Replay { id: id.to_owned() }).await?;
    http::empty(202)
}

/// A delivery, as it is listed.
pub fn delivery_shown(record: DeliveryRecord) -> Delivery {
    Delivery {
        id: record.id,
        url: record.url,
        job: record.job,
        status: record.status,
        attempts: record.attempts.into_iter().map(|(at, status)| DeliveryAttempt { at: rfc3339(at), status }).collect(),
        next_at: record.next.map(rfc3339),
    }
}
