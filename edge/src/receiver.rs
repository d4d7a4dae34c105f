//! One receiver's host: webhooks to it, two at a time, so that nobody is flooded through us.

use crate::{call, config::Config, egress};
use gateway::webhook::{AT_ONCE_PER_HOST, Attempt, TIMEOUT};
use serde::{Deserialize, Serialize};
use std::{cell::Cell, time::Duration};
use worker::{DurableObject, Env, Request, Response, State, Url, durable_object};

#[derive(Serialize, Deserialize)]
struct Sending {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Serialize, Deserialize)]
enum Sent {
    Busy,
    Answered(u16),
    Unreachable,
}

/// Sends one delivery; `None` while its host has all that it can take.
pub async fn send(env: &Env, url: &str, headers: &[(&'static str, String); 3], body: &str) -> Option<Attempt> {
    let Ok(parsed) = Url::parse(url) else { return Some(Attempt::Unreachable) };
    let host = parsed.host_str().unwrap_or_default().to_owned();
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let sending = Sending { url: url.to_owned(), headers, body: body.to_owned() };
    let patience = Duration::from_millis(TIMEOUT.0) + Duration::from_secs(3);
    match call::object(env, "RECEIVER", &host, &sending, patience).await {
        Ok(Sent::Busy) => None,
        Ok(Sent::Answered(status)) => Some(Attempt::Answered(status)),
        Ok(Sent::Unreachable) | Err(_) => Some(Attempt::Unreachable),
    }
}

/// The object of a host.
#[durable_object]
pub struct Receiver {
    env: Env,
    under_way: Cell<usize>,
}

impl DurableObject for Receiver {
    fn new(_state: State, env: Env) -> Self {
        Self { env, under_way: Cell::new(0) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let sending: Sending = call::question(&mut request).await?;
        if self.under_way.get() >= AT_ONCE_PER_HOST {
            return Response::from_json(&Sent::Busy);
        }
        self.under_way.set(self.under_way.get() + 1);
        let sent = self.post(&sending).await;
        self.under_way.set(self.under_way.get().saturating_sub(1));
        Response::from_json(&sent)
    }
}

impl Receiver {
    async fn post(&self, sending: &Sending) -> Sent {
        let Ok(config) = Config::read(&self.env) else { return Sent::Unreachable };
        let patience = Duration::from_millis(TIMEOUT.0);
        match egress::post(&self.env, &config, &sending.url, &sending.headers, &sending.body, patience).await {
            Some(status) => Sent::Answered(status),
            None => Sent::Unreachable,
        }
    }
}
