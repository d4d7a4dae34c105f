//! One account: its keys, its credits, its jobs. One Durable Object each, so everything about it happens one after another.
//!
//! What changes money or a job's state does so in one synchronous block; the reply leaves only when its rows are on disk (the
//! runtime's output gate). A panic here would leave callers waiting for ever, so nothing unwraps.

mod accept;
mod admission;
mod closing;
mod hooks;
mod keys;
pub mod life;
mod live;
pub mod op;
mod store;

use crate::{
    call,
    config::{self, Config},
};
use gateway::rate_limit::Log;
use live::Live;
use op::{By, Denied, Envelope, LimitState, Op, Reply};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};
use store::{Facts, Result, Store};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// The object.
#[durable_object]
pub struct Account {
    inner: Rc<Inner>,
}

/// What its parts share.
struct Inner {
    state: State,
    env: Env,
    store: Store,
    /// Requests that were admitted since the last row was written.
    log: RefCell<Option<Log>>,
    /// Jobs that somebody waits for or looks at.
    live: RefCell<HashMap<u64, Live>>,
    /// When the runtime wakes this object next, as far as is known.
    alarm: Cell<Option<u64>>,
    config: RefCell<Option<Rc<Config>>>,
}

impl DurableObject for Account {
    fn new(state: State, env: Env) -> Self {
        let store = Store::new(state.storage().sql());
        let inner = Inner {
            state,
            env,
            store,
            log: RefCell::default(),
            live: RefCell::default(),
            alarm: Cell::new(None),
            config: RefCell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let envelope: Envelope = match call::question(&mut request).await {
            Ok(envelope) => envelope,
            Err(error) => return reply(Err(Denied::Internal(format!("an account was asked {error}"))), None),
        };
        if request.path() == "/events" {
            return self.events(envelope);
        }
        let (outcome, limit) = self.answer(envelope).await;
        reply(outcome, limit)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.inner.alarm.set(None);
        // An alarm that throws is dropped after six tries (R3), so nothing here may.
        if let Err(denied) = Rc::clone(&self.inner).sweep().await {
            worker::console_error!("{}", serde_json::json!({ "level": "error", "message": format!("{denied:?}") }));
            let later = config::now().0 + 10_000;
            self.inner.wake(later).await;
        }
        Response::ok("")
    }
}

/// What was asked for, written already.
type Said = Result<Box<RawValue>>;

fn reply(outcome: Said, limit: Option<LimitState>) -> worker::Result<Response> {
    Ok(Response::builder().fixed(serde_json::to_vec(&Reply { outcome, limit })?))
}

fn value<T: Serialize>(value: &T) -> Said {
    to_raw_value(value).map_err(|error| Denied::Internal(error.to_string()))
}

impl Account {
    async fn answer(&self, envelope: Envelope) -> (Said, Option<LimitState>) {
        let Envelope { account, by, op } = envelope;
        if let Op::Open { key, plan } = op {
            let opened = matches!(by, By::Edge).then_some(()).ok_or(Denied::Unauthenticated);
            let opened = opened.and_then(|()| self.inner.open(account, key, &plan));
            return (opened.and_then(|()| value(&())), None);
        }
        let facts = match self.inner.store.facts() {
            Ok(Some(facts)) => facts,
            Ok(None) if matches!(by, By::Edge) => return (Err(Denied::NotFound), None),
            Ok(None) => return (Err(Denied::Unauthenticated), None),
            Err(denied) => return (Err(denied), None),
        };
        match by {
            // A deleted account is gone for everyone at once, although its files go one after another.
            By::Edge if facts.deleted.is_some() && !matches!(op, Op::Sweep) => (Err(Denied::NotFound), None),
            By::Edge => (self.for_edge(facts, op).await, None),
            By::Key(credential) => {
                let mut limit = None;
                let outcome = match self.inner.admit(&facts, &credential, &mut limit) {
                    Ok(key) => self.for_owner(facts, key, op).await,
                    Err(denied) => Err(denied),
                };
                (outcome, limit)
            }
        }
    }

    async fn for_owner(&self, facts: Facts, key: op::KeyRecord, op: Op) -> Said {
        let inner = &self.inner;
        match op {
            Op::Admit | Op::Account => value(&inner.account_record(&facts)?),
            Op::Accept(accept) => value(&inner.accept(facts, &key, accept).await?),
            Op::Job(job) => inner.said(&job),
            Op::Jobs { limit, before } => {
                let jobs: Vec<_> =
                    inner.store.jobs(limit, before)?.into_iter().map(|stored| inner.shown(stored)).collect();
                value(&jobs)
            }
            Op::Wait { job, seconds } => value(&inner.wait(&job, seconds).await?),
            Op::Cancel(job) => value(&inner.cancel(&job).await?),
            Op::DeleteJob(job) => value(&inner.delete_job(&job).await?),
            Op::Usage => value(&inner.usage(&facts)?),
            Op::Keys => value(&inner.store.keys()?),
            Op::CreateKey(new) => value(&inner.create_key(new)?),
            Op::RotateKey { id, hash, shown } => value(&inner.rotate_key(&id, hash, shown)?),
            Op::DeleteKey { id } => value(&inner.delete_key(&id)?),
            Op::Webhooks => value(&inner.webhooks(&facts)?),
            Op::CreateWebhook { id, url, secret, events } => value(&inner.create_webhook(&id, url, secret, events)?),
            Op::DeleteWebhook { id } => value(&inner.delete_webhook(&id)?),
            Op::Deliveries => value(&inner.delivery_records()?),
            Op::Replay { id } => value(&inner.replay(&id).await?),
            Op::AddUpload(upload) => {
                inner.store.put_upload(&upload)?;
                inner.wake(upload.expires).await;
                value(&())
            }
            Op::Upload { id } => value(&inner.store.upload(&id)?.ok_or(Denied::NotFound)?),
            Op::DeleteUpload { id } => {
                let upload = inner.store.upload(&id)?.ok_or(Denied::NotFound)?;
                inner.store.delete_upload(&id)?;
                value(&upload)
            }
            Op::Export => value(&inner.export(&facts)?),
            Op::Delete => value(&inner.begin_deletion(facts).await?),
            _ => Err(Denied::Forbidden("this is not for keys".to_owned())),
        }
    }

    async fn for_edge(&self, facts: Facts, op: Op) -> Said {
        let inner = &self.inner;
        match op {
            Op::Lease { job, node } => value(&inner.lease(job, node).await?),
            Op::Check { job, epoch } => value(&inner.check(job, epoch)?),
            Op::Report { job, report } => value(&inner.report(job, report).await?),
            Op::End { job, end } => value(&inner.end(facts, job, end).await?),
            Op::Sweep => value(&Rc::clone(inner).sweep().await?),
            Op::Account => value(&inner.account_record(&facts)?),
            Op::SetPlan { plan } => value(&inner.set_plan(facts, plan)?),
            Op::Grant { credits } => {
                let at = config::now().0;
                inner.store.grant(credits, at)?;
                inner.store.audit(at, &format!("{credits} credits were granted"))?;
                value(&())
            }
            Op::Suspend { reason } => value(&inner.suspend(facts, reason)?),
            Op::Job(job) => inner.said(&job),
            Op::Upload { id } => value(&inner.store.upload(&id)?.ok_or(Denied::NotFound)?),
            _ => Err(Denied::Internal("the edge asked an account for something of its owner's".to_owned())),
        }
    }

    fn events(&self, envelope: Envelope) -> worker::Result<Response> {
        let (By::Key(credential), Op::Events { job, last }) = (envelope.by, envelope.op) else {
            return reply(Err(Denied::Internal("events were asked for in the wrong way".to_owned())), None);
        };
        let mut limit = None;
        let inner = &self.inner;
        let stream = inner.store.facts().and_then(|facts| {
            let facts = facts.ok_or(Denied::Unauthenticated)?;
            inner.admit(&facts, &credential, &mut limit)?;
            inner.stream(&job, last)
        });
        match stream {
            Ok(stream) => Response::builder()
                .with_header("content-type", "text/event-stream")?
                .with_header("cache-control", "no-store")?
                .from_stream(stream),
            Err(denied) => reply(Err(denied), limit),
        }
    }
}

impl Inner {
    fn config(&self) -> Result<Rc<Config>> {
        if let Some(config) = self.config.borrow().as_ref() {
            return Ok(Rc::clone(config));
        }
        let config =
            Config::read(&self.env).map_err(|_| Denied::Internal("the configuration is not usable".to_owned()))?;
        *self.config.borrow_mut() = Some(Rc::clone(&config));
        Ok(config)
    }

    /// Makes sure that the object is awake at this time or before.
    async fn wake(&self, at: u64) {
        if self.alarm.get().is_some_and(|set| set <= at) {
            return;
        }
        self.alarm.set(Some(at));
        let wait = i64::try_from(at.saturating_sub(config::now().0)).unwrap_or(i64::MAX);
        if let Err(error) = self.state.storage().set_alarm(wait).await {
            // The sweeper of all accounts comes by in any case.
            self.alarm.set(None);
            worker::console_error!("{}", serde_json::json!({ "level": "error", "message": error.to_string() }));
        }
    }

    /// As [`Self::wake`], for whatever is due next.
    async fn wake_for_next(&self) -> Result<()> {
        if let Some(at) = self.store.next_due()? {
            self.wake(at).await;
        }
        Ok(())
    }
}
