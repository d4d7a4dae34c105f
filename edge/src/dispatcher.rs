//! The pool of nodes: whose job is next, which nodes there are, how long a job will take. One Durable Object.
//!
//! All of it is a hint (R2): the truth is in the accounts, whose alarms offer again what no node has, so that losing this
//! object's memory loses nothing. Only the models and the measured pace are stored.

use crate::{
    account::op::{Denied, Granted, JobRecord, Op},
    call, config,
    error::{Failure, Result},
    http::Call,
};
use api::{
    node::{Lease, LeaseReply, LeaseRequest, ModelOffer, VERSION},
    request::Task,
};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use gateway::{
    clock::Millis,
    pool::{Pool, Waiting},
    price,
};
use serde::{Deserialize, Serialize};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    mem,
    rc::Rc,
    time::Duration,
};
use worker::{Delay, DurableObject, Env, Request, Response, State, durable_object};

const NAME: &str = "default";
const PATIENCE: Duration = Duration::from_secs(10);
/// A node that has not asked for this long is not there, in milliseconds.
const GONE: u64 = 30_000;
/// A model that no node has offered for this long is not listed any more, in milliseconds.
const FORGOTTEN: u64 = 24 * 3600 * 1000;
/// Longest wait for work, in seconds.
const LONGEST_WAIT: u32 = 20;

#[derive(Serialize, Deserialize)]
struct Offered {
    account: String,
    priority: u32,
    waiting: Waiting,
}

#[derive(Serialize, Deserialize)]
enum Question {
    Offer(Vec<Offered>),
    Remove { account: String, job: u64 },
    Lease(LeaseRequest),
    Measured { model: String, work: u64, seconds: f64 },
    Place { account: String, job: u64 },
    Summary,
}

/// Where a waiting job stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Place {
    /// Jobs before it.
    pub ahead: usize,
    /// Seconds until it is over.
    pub eta: f64,
}

/// The pool as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Every model that can be asked for, and whether a node has it right now.
    pub models: Vec<(ModelOffer, bool)>,
    /// Jobs that wait.
    pub waiting: usize,
    /// Jobs that nodes can work on at a time.
    pub slots: usize,
    /// Nodes that are there: name, device, slots.
    pub nodes: Vec<(String, String, u32)>,
    /// Whether a node can judge pictures.
    pub has_checker: bool,
    /// Seconds of all waiting jobs.
    pub queue_seconds: f64,
    /// Measured paces: model, and seconds for a work of one million.
    pub paces: Vec<(String, f64, f64)>,
}

impl Summary {
    /// A model by its name; the first one for no name.
    pub fn model(&self, name: Option<&str>) -> Option<&ModelOffer> {
        let available = self.models.iter().filter(|(_, is_there)| *is_there).chain(&self.models);
        match name {
            Some(name) => self.models.iter().find(|(offer, _)| offer.id.as_str() == name).map(|(offer, _)| offer),
            None => available.map(|(offer, _)| offer).next(),
        }
    }

    /// Expected seconds of a job that is asked for now.
    pub fn eta(&self, model: &str, work: u64) -> f64 {
        let (fixed, slope) = self
            .paces
            .iter()
            .find(|(name, ..)| name == model)
            .map_or((0.0, 10.0 / (512.0 * 512.0 * 20.0)), |&(_, fixed, slope)| (fixed, slope));
        self.queue_seconds / self.slots.max(1) as f64 + fixed + slope * work as f64
    }
}

async fn ask<R: serde::de::DeserializeOwned>(env: &Env, question: &Question, patience: Duration) -> Result<R> {
    call::object(env, "DISPATCHER", NAME, question, patience).await
}

impl Offered {
    fn of(record: &JobRecord) -> Self {
        Self {
            account: record.account.clone(),
            priority: record.priority,
            waiting: Waiting {
                job: record.number,
                model: record.model.clone(),
                work: price::work(&record.request),
                needs_checker: record.request.censor.is_some() || matches!(record.request.task, Task::Check { .. }),
            },
        }
    }
}

/// Offers queued jobs to the nodes. That it cannot be told is no loss: their account will offer them again.
pub async fn offer(env: &Env, records: &[JobRecord]) {
    let offered = records.iter().map(Offered::of).collect();
    ask::<()>(env, &Question::Offer(offered), PATIENCE).await.ok();
}

thread_local! {
    /// What is to be offered with the next call, and when the present one began.
    static OFFERS: RefCell<(Vec<Offered>, Option<u64>)> = RefCell::default();
}

/// Offers a job that was just taken, after its client has been answered; those that come meanwhile go together.
pub fn offer_soon(call: &Call, record: &JobRecord) {
    let now = config::now().0;
    let is_being_done = OFFERS.with_borrow_mut(|(offers, since)| {
        offers.push(Offered::of(record));
        // A call that was broken off with its request does not say so.
        let is_being_done = since.is_some_and(|since| now.saturating_sub(since) < 1_000);
        if !is_being_done {
            *since = Some(now);
        }
        is_being_done
    });
    if is_being_done {
        return;
    }
    let env = call.env.clone();
    call.context.wait_until(async move {
        while let Some(offers) = next_offers() {
            ask::<()>(&env, &Question::Offer(offers), PATIENCE).await.ok();
        }
    });
}

fn next_offers() -> Option<Vec<Offered>> {
    OFFERS.with_borrow_mut(|(offers, since)| {
        *since = (!offers.is_empty()).then(|| config::now().0);
        since.map(|_| mem::take(offers))
    })
}

/// Takes a job out that was cancelled.
pub async fn remove(env: &Env, record: &JobRecord) {
    let question = Question::Remove { account: record.account.clone(), job: record.number };
    ask::<()>(env, &question, PATIENCE).await.ok();
}

/// Work for a node.
///
/// # Errors
/// The pool cannot be reached, or the node speaks another version.
pub async fn lease(env: &Env, request: LeaseRequest) -> Result<LeaseReply> {
    if request.version != VERSION {
        let words = format!("this edge speaks version {VERSION} of the node protocol, the node {}", request.version);
        return Err(Failure::Denied(Denied::Invalid(words)));
    }
    let patience = PATIENCE + Duration::from_secs(u64::from(request.wait_seconds.min(LONGEST_WAIT)));
    ask(env, &Question::Lease(request), patience).await
}

/// Learns from a job that is over.
pub async fn measured(env: &Env, model: String, work: u64, seconds: f64) {
    ask::<()>(env, &Question::Measured { model, work, seconds }, PATIENCE).await.ok();
}

/// Where a waiting job stands; `None` when it does not wait.
pub async fn place(env: &Env, account: &str, job: u64) -> Option<Place> {
    let question = Question::Place { account: account.to_owned(), job };
    ask::<Option<Place>>(env, &question, PATIENCE).await.ok().flatten()
}

thread_local! {
    /// What this isolate heard last, and when.
    static HEARD: RefCell<(u64, Rc<Summary>)> = RefCell::default();
}

/// The pool as a whole, at most a second old.
///
/// # Errors
/// The pool cannot be reached.
pub async fn summary(env: &Env) -> Result<Rc<Summary>> {
    let now = config::now().0;
    let heard = HEARD.with_borrow(|(at, summary)| (now.saturating_sub(*at) < 1000).then(|| Rc::clone(summary)));
    if let Some(summary) = heard {
        return Ok(summary);
    }
    let summary: Rc<Summary> = Rc::new(ask(env, &Question::Summary, PATIENCE).await?);
    HEARD.with_borrow_mut(|heard| *heard = (now, Rc::clone(&summary)));
    Ok(summary)
}

#[derive(Clone)]
struct Node {
    seen: u64,
    device: String,
    slots: u32,
    models: Vec<String>,
    has_checker: bool,
}

/// The object.
#[durable_object]
pub struct Dispatcher {
    state: State,
    env: Env,
    pool: RefCell<Pool>,
    nodes: RefCell<BTreeMap<String, Node>>,
    models: RefCell<BTreeMap<String, (u64, ModelOffer)>>,
    is_loaded: Cell<bool>,
    /// Nodes that wait for work, by their names.
    idle: RefCell<Vec<(String, oneshot::Sender<()>)>>,
}

impl DurableObject for Dispatcher {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            pool: RefCell::default(),
            nodes: RefCell::default(),
            models: RefCell::default(),
            is_loaded: Cell::new(false),
            idle: RefCell::default(),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        self.load().await;
        match call::question(&mut request).await? {
            Question::Offer(offers) => {
                for Offered { account, priority, waiting } in offers {
                    self.pool.borrow_mut().offer(&account, priority, waiting);
                    self.wake_one();
                }
                Response::from_json(&())
            }
            Question::Remove { account, job } => {
                self.pool.borrow_mut().remove(&account, job);
                Response::from_json(&())
            }
            Question::Lease(request) => Response::from_json(&self.lease(request).await),
            Question::Measured { model, work, seconds } => {
                let took = Millis((seconds.clamp(0.0, 1e6) * 1000.0) as u64);
                self.pool.borrow_mut().measured(&model, work, took);
                self.store_paces().await;
                Response::from_json(&())
            }
            Question::Place { account, job } => {
                let place = self.pool.borrow().place(&account, job, self.slots());
                Response::from_json(&place.map(|place| Place { ahead: place.ahead, eta: place.eta }))
            }
            Question::Summary => Response::from_json(&self.summary()),
        }
    }
}

impl Dispatcher {
    /// What is known from before: models and paces.
    async fn load(&self) {
        if self.is_loaded.replace(true) {
            return;
        }
        let storage = self.state.storage();
        if let Ok(Some(models)) = storage.get::<String>("models").await
            && let Ok(models) = serde_json::from_str(&models)
        {
            *self.models.borrow_mut() = models;
        }
        if let Ok(Some(paces)) = storage.get::<String>("paces").await
            && let Ok(pool) = serde_json::from_str::<Pool>(&paces)
        {
            self.pool.borrow_mut().learn_from(&pool);
        }
    }

    async fn store_paces(&self) {
        let paces = serde_json::to_string(&self.pool.borrow().paces_only()).unwrap_or_default();
        // It is measured again if this fails.
        self.state.storage().put("paces", paces).await.ok();
    }

    fn slots(&self) -> usize {
        let now = config::now().0;
        let nodes = self.nodes.borrow();
        nodes.values().filter(|node| now.saturating_sub(node.seen) < GONE).map(|node| node.slots as usize).sum()
    }

    fn wake_one(&self) {
        // One that has gone meanwhile does not count.
        while let Some((_, node)) = self.idle.borrow_mut().pop() {
            if node.send(()).is_ok() {
                break;
            }
        }
    }

    async fn lease(&self, request: LeaseRequest) -> LeaseReply {
        self.meet(&request).await;
        // A node that asks anew does not listen to its earlier call any more; what that took would be lost for a lease.
        self.idle.borrow_mut().retain(|(node, _)| *node != request.node);
        let until = config::now().0 + u64::from(request.wait_seconds.min(LONGEST_WAIT)) * 1000;
        let mut leases = Vec::new();
        loop {
            while leases.len() < request.wanted as usize {
                let Some(lease) = self.next(&request).await else { break };
                leases.push(lease);
            }
            let left = until.saturating_sub(config::now().0);
            if !leases.is_empty() || request.wanted == 0 || left == 0 {
                return LeaseReply { leases };
            }
            let (sender, receiver) = oneshot::channel();
            self.idle.borrow_mut().push((request.node.clone(), sender));
            let patience = Delay::from(Duration::from_millis(left));
            if !matches!(select(receiver, Box::pin(patience)).await, Either::Left((Ok(()), _))) {
                return LeaseReply { leases };
            }
        }
    }

    /// Notes a node and its models.
    async fn meet(&self, request: &LeaseRequest) {
        let now = config::now().0;
        self.note_node(request, now);
        if let Some(models) = self.note_models(&request.models, now) {
            // It is told again with the next request, should this fail.
            self.state.storage().put("models", models).await.ok();
        }
    }

    fn note_node(&self, request: &LeaseRequest, now: u64) {
        let node = Node {
            seen: now,
            device: request.device.clone(),
            slots: request.slots,
            models: request.models.iter().map(|offer| offer.id.as_str().to_owned()).collect(),
            has_checker: request.has_checker,
        };
        let mut nodes = self.nodes.borrow_mut();
        nodes.insert(request.node.clone(), node);
        nodes.retain(|_, node| now.saturating_sub(node.seen) < 2 * GONE);
    }

    /// What is to be stored, where something is new.
    fn note_models(&self, offers: &[ModelOffer], now: u64) -> Option<String> {
        let mut models = self.models.borrow_mut();
        let mut is_new = false;
        for offer in offers {
            let old = models.insert(offer.id.as_str().to_owned(), (now, offer.clone()));
            is_new |= old.is_none_or(|(_, known)| known != *offer);
        }
        models.retain(|_, (seen, _)| now.saturating_sub(*seen) < FORGOTTEN);
        is_new.then(|| serde_json::to_string(&*models).unwrap_or_default())
    }

    /// The next job that a node can do; those that are over or taken are passed over.
    async fn next(&self, request: &LeaseRequest) -> Option<Lease> {
        loop {
            // What must be judged is never given to a node that cannot.
            let can_do = |waiting: &Waiting| {
                (request.has_checker || !waiting.needs_checker)
                    && request.models.iter().any(|offer| offer.id.as_str() == waiting.model)
            };
            let (account, waiting) = self.pool.borrow_mut().take(can_do)?;
            let op = Op::Lease { job: waiting.job, node: request.node.clone() };
            let granted: Granted = match call::for_edge(&self.env, &account, op).await {
                Ok(granted) => granted,
                // It was cancelled, or is with another node; or its account will offer it again.
                Err(_) => continue,
            };
            return told(account, granted);
        }
    }

    fn summary(&self) -> Summary {
        const MILLION: u64 = 1_000_000;
        let now = config::now().0;
        let nodes = self.nodes.borrow();
        let there: Vec<(&String, &Node)> =
            nodes.iter().filter(|(_, node)| now.saturating_sub(node.seen) < GONE).collect();
        let models = self.models.borrow();
        let pool = self.pool.borrow();
        let listed = models.iter().map(|(name, (_, offer))| {
            (offer.clone(), there.iter().any(|(_, node)| node.models.iter().any(|model| model == name)))
        });
        let paces = models.keys().map(|model| {
            let (small, large) = (pool.seconds(model, MILLION), pool.seconds(model, 2 * MILLION));
            (model.clone(), (2.0 * small - large).max(0.0), (large - small) / MILLION as f64)
        });
        Summary {
            models: listed.collect(),
            waiting: pool.len(),
            slots: there.iter().map(|(_, node)| node.slots as usize).sum(),
            nodes: there.iter().map(|(name, node)| ((*name).clone(), node.device.clone(), node.slots)).collect(),
            has_checker: there.iter().any(|(_, node)| node.has_checker),
            queue_seconds: pool.queue_seconds(),
            paces: paces.collect(),
        }
    }
}

/// A granted job as its node is told it.
fn told(account: String, granted: Granted) -> Option<Lease> {
    let Granted { epoch, lease_ms, job, previews, traceparent } = granted;
    let mut request = job.request;
    request.delivery = api::request::Delivery::default();
    let model = spec::ModelId::new(job.model).ok()?;
    Some(Lease { account, job: job.number, epoch, lease_ms, request, model, previews, traceparent })
}
