//! Webhooks of an account: who is told what, and the tries of each delivery.

use super::{
    Inner,
    accept::is_ours,
    op::{DeliveryRecord, Denied, WebhookRecord},
    store::{Delivery, Facts, Receiver, Result, Stored},
};
use crate::{config, random, receiver, render};
use api::v1::{DeliveryStatus, WebhookEvent, rfc3339};
use gateway::{
    job::State,
    webhook::{self, Attempt, Next, Secret},
};
use std::rc::Rc;

/// Receivers that an account may have.
const MOST: usize = 20;
/// A delivery that was begun counts as failed after this long, should this object die meanwhile.
const PATIENCE: u64 = webhook::TIMEOUT.0 + 5_000;
/// While its host has all it can take.
const BUSY: u64 = 1_000;

impl Inner {
    /// Notes, with a job's end, whom it must be told to.
    pub(super) fn announce(&self, stored: &Stored) -> Result<()> {
        let record = &stored.record;
        let event = match record.state {
            State::Succeeded => WebhookEvent::Succeeded,
            State::Failed => WebhookEvent::Failed,
            _ => WebhookEvent::Cancelled,
        }
        .as_str();
        let config = self.config()?;
        let ours = || {
            let job = render::job(&config, record, None);
            serde_json::json!({ "type": event, "timestamp": rfc3339(config::now().0), "data": job })
        };
        if let Some(url) = &record.request.delivery.webhook {
            let body = if is_ours(record) { ours() } else { render::dialect_webhook(&config, record) };
            self.queue_delivery(None, url, &body, record.id.clone())?;
        }
        for (id, receiver) in self.store.receivers()? {
            if !receiver.is_disabled && receiver.events.iter().any(|wanted| wanted == event) {
                self.queue_delivery(Some(id), &receiver.url, &ours(), record.id.clone())?;
            }
        }
        Ok(())
    }

    fn queue_delivery(&self, webhook: Option<String>, url: &str, body: &serde_json::Value, job: String) -> Result<()> {
        let now = config::now().0;
        let id = random::name("msg_").map_err(|_| Denied::Internal("there are no random bytes".to_owned()))?;
        let delivery = Delivery {
            webhook,
            url: url.to_owned(),
            body: body.to_string(),
            job,
            status: DeliveryStatus::Pending,
            tries: 0,
            attempts: Vec::new(),
        };
        self.store.put_delivery(&id, &delivery, Some(now), now)
    }

    /// Starts every delivery that is due; each goes on by itself.
    pub(super) fn deliver_due(self: Rc<Self>) -> Result<()> {
        let now = config::now().0;
        for (id, delivery) in self.store.due_deliveries(now)? {
            self.store.put_delivery(&id, &delivery, Some(now + PATIENCE), now)?;
            let inner = Rc::clone(&self);
            self.state.wait_until(async move {
                if let Err(denied) = inner.deliver(&id, delivery).await {
                    worker::console_error!(
                        "{}",
                        serde_json::json!({ "level": "error", "message": format!("{denied:?}") })
                    );
                }
            });
        }
        Ok(())
    }

    async fn deliver(&self, id: &str, mut delivery: Delivery) -> Result<()> {
        let facts = self.store.facts()?.ok_or(Denied::NotFound)?;
        let receivers = self.store.receivers()?;
        let secret = match &delivery.webhook {
            None => facts.webhook_secret,
            Some(name) => match receivers.iter().find(|(id, _)| id == name) {
                Some((_, receiver)) if !receiver.is_disabled => receiver.secret,
                // It was deleted, or has said that it is gone, since.
                _ => {
                    delivery.status = DeliveryStatus::Disabled;
                    return self.store.put_delivery(id, &delivery, None, config::now().0);
                }
            },
        };
        let seconds = config::now().0 / 1000;
        let headers = webhook::headers(id, seconds, delivery.body.as_bytes(), &[Secret::new(secret)]);
        let sent = receiver::send(&self.env, &delivery.url, &headers, &delivery.body).await;
        let now = config::now().0;
        let Some(outcome) = sent else {
            self.store.put_delivery(id, &delivery, Some(now + BUSY), now)?;
            self.wake(now + BUSY).await;
            return Ok(());
        };
        let answered = match outcome {
            Attempt::Answered(status) => Some(status),
            Attempt::Unreachable => None,
        };
        delivery.attempts.push((now, answered));
        let jitter = f64::from(random::seed().unwrap_or(0)) / f64::from(u32::MAX);
        let next = webhook::next(delivery.tries, outcome, jitter);
        delivery.tries += 1;
        let (status, at) = match next {
            Next::Delivered => (DeliveryStatus::Delivered, None),
            Next::Retry(wait) => (DeliveryStatus::Pending, Some(now + wait.0)),
            Next::Disable => (DeliveryStatus::Disabled, None),
            Next::GiveUp => (DeliveryStatus::GivenUp, None),
        };
        delivery.status = status;
        if next == Next::Disable
            && let Some((name, receiver)) =
                delivery.webhook.as_ref().and_then(|name| receivers.into_iter().find(|(id, _)| id == name))
        {
            self.store.put_receiver(&name, &Receiver { is_disabled: true, ..receiver })?;
        }
        self.store.put_delivery(id, &delivery, at, now)?;
        if let Some(at) = at {
            self.wake(at).await;
        }
        Ok(())
    }

    pub(super) fn webhooks(&self, facts: &Facts) -> Result<(Vec<WebhookRecord>, String)> {
        let records = self
            .store
            .receivers()?
            .into_iter()
            .map(|(id, Receiver { url, events, is_disabled, created, .. })| WebhookRecord {
                id,
                url,
                events,
                is_disabled,
                created,
            })
            .collect();
        Ok((records, Secret::new(facts.webhook_secret).reveal()))
    }

    pub(super) fn create_webhook(
        &self,
        id: &str,
        url: String,
        secret: [u8; 24],
        events: Vec<String>,
    ) -> Result<WebhookRecord> {
        if self.store.receivers()?.len() >= MOST {
            return Err(Denied::Invalid(format!("an account has {MOST} webhooks at most; delete one first")));
        }
        let created = config::now().0;
        let receiver = Receiver { url: url.clone(), secret, events: events.clone(), is_disabled: false, created };
        self.store.put_receiver(id, &receiver)?;
        Ok(WebhookRecord { id: id.to_owned(), url, events, is_disabled: false, created })
    }

    pub(super) fn delete_webhook(&self, id: &str) -> Result<()> {
        if self.store.delete_receiver(id)? { Ok(()) } else { Err(Denied::NotFound) }
    }

    pub(super) fn delivery_records(&self) -> Result<Vec<DeliveryRecord>> {
        let records = self.store.deliveries()?.into_iter().map(|(id, delivery, next)| DeliveryRecord {
            id,
            url: delivery.url,
            job: delivery.job,
            status: delivery.status,
            attempts: delivery.attempts,
            next,
        });
        Ok(records.collect())
    }

    /// Sends a delivery again from the beginning of its schedule, under the same id.
    pub(super) async fn replay(&self, id: &str) -> Result<()> {
        let mut delivery = self.store.delivery(id)?.ok_or(Denied::NotFound)?;
        let now = config::now().0;
        delivery.tries = 0;
        delivery.status = DeliveryStatus::Pending;
        self.store.put_delivery(id, &delivery, Some(now), now)?;
        self.wake(now).await;
        Ok(())
    }
}
