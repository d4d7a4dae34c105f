//! Asks for work as long as there is room for it.

use super::{backoff::Backoff, edge::CallError, job, log, node::Node};
use api::node::{Lease, LeaseReply, LeaseRequest};
use std::{sync::Arc, time::Duration};
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How long the edge may keep a call open when there is nothing to do, in seconds.
const WAIT: u32 = 20;
/// How often a node that is full says that it is there.
const PRESENCE: Duration = Duration::from_secs(10);
/// An edge that has nothing and does not wait is not asked more often than this.
const BETWEEN_CALLS: Duration = Duration::from_millis(500);
/// How long an open call may still bring work, which is handed back, once the node ends.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Works until the node drains and everything is finished or handed back.
pub async fn run(node: Arc<Node>) {
    let slots = Arc::new(Semaphore::new(node.slots as usize));
    count(&node, &slots);
    let mut jobs = JoinSet::new();
    let mut backoff = Backoff::default();
    let mut is_reached = false;
    while !node.drain.is_begun() {
        let free = free_slots(&node, &slots).await;
        let asked = Instant::now();
        // The first call, and the first after a failure, come back at once, so that it is soon known that the edge is there.
        let wait = if is_reached && free > 0 { WAIT } else { 0 };
        match ask(&node, node.lease_request(free, wait)).await {
            None => break,
            Some(Ok(reply)) => {
                backoff = Backoff::default();
                if node.health.edge(true) {
                    log::info("the edge answers again", &[]);
                }
                if is_reached && reply.leases.is_empty() {
                    pause(&node, asked + BETWEEN_CALLS).await;
                }
                is_reached = true;
                take(&node, &slots, &mut jobs, reply);
            }
            Some(Err(error)) => {
                is_reached = false;
                node.metrics.edge_failure();
                if node.health.edge(false) {
                    log::warn("no work can be asked for", &[("why", error.to_string().into())]);
                }
                pause(&node, Instant::now() + backoff.next()).await;
            }
        }
        while jobs.try_join_next().is_some() {}
    }
    while jobs.join_next().await.is_some() {}
}

/// Counts the slots that are taken.
fn count(node: &Node, slots: &Semaphore) {
    let all = node.slots as usize;
    node.metrics.slots(all - slots.available_permits(), all);
}

/// Does nothing until then, or until the node ends.
async fn pause(node: &Node, until: Instant) {
    select! {
        () = sleep_until(until) => {}
        _ = node.drain.begun() => {}
    }
}

/// Waits for a free slot, but not so long that the node would be thought gone. While the device does not move, none is free.
async fn free_slots(node: &Node, slots: &Semaphore) -> u32 {
    let presence = sleep(PRESENCE);
    if node.health.is_stuck() {
        select! {
            () = presence => {}
            _ = node.drain.begun() => {}
        }
        return 0;
    }
    select! {
        permit = slots.acquire() => drop(permit),
        () = presence => {}
        _ = node.drain.begun() => {}
    }
    slots.available_permits() as u32
}

/// One call; `None` when the node ends first and the call brought nothing in its last moment.
async fn ask(node: &Node, request: LeaseRequest) -> Option<Result<LeaseReply, CallError>> {
    let answer = node.edge.lease(&request);
    tokio::pin!(answer);
    select! {
        answer = &mut answer => return Some(answer),
        _ = node.drain.begun() => {}
    }
    // The edge hears that nothing is wanted any more, so that it ends the open call; whatever that brings is handed back.
    let nothing = node.lease_request(0, 0);
    let (answer, _) = tokio::join!(timeout(LAST_ANSWER, answer), timeout(LAST_ANSWER, node.edge.lease(&nothing)));
    answer.ok()
}

/// Starts the jobs of an answer; those without a slot go back.
fn take(node: &Arc<Node>, slots: &Arc<Semaphore>, jobs: &mut JoinSet<()>, reply: LeaseReply) {
    let mut taken: Vec<(Lease, OwnedSemaphorePermit)> = Vec::new();
    for lease in reply.leases {
        match Arc::clone(slots).try_acquire_owned() {
            Ok(permit) if !node.drain.is_begun() => taken.push((lease, permit)),
            _ => drop(jobs.spawn(job::hand_back(Arc::clone(node), lease))),
        }
    }
    // All have their place in the queue before the first begins, so that they find each other and keep the edge's order.
    let placed: Vec<_> = taken
        .into_iter()
        .map(|(lease, permit)| (node.compute.place(job::can_join(&lease.request)), lease, permit))
        .collect();
    for (place, lease, permit) in placed {
        let (node, slots) = (Arc::clone(node), Arc::clone(slots));
        jobs.spawn(async move {
            count(&node, &slots);
            job::run(Arc::clone(&node), lease, place).await;
            drop(permit);
            count(&node, &slots);
        });
    }
}
