//! A job's life, as its account keeps it: queued, running under a lease, over.
//!
//! Every lease has an epoch, one higher than the last. Whoever speaks for a job says which epoch it has, and what a node says
//! that lost its lease in the meantime is refused, so that a job that was given to another node is delivered and paid once.

use crate::{clock::Millis, ledger::Settlement};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Nodes that may try a job before it is given up.
pub const MAX_ATTEMPTS: u32 = 3;

/// Leases that cost no attempt because nothing was heard of their node: it was gone before the job reached it.
pub const MAX_UNHEARD: u32 = 3;

/// Number of a lease; the first is 1.
pub type Epoch = u32;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It waits for a node.
    Queued,
    /// A node has it, and must speak up before this time.
    Running {
        /// When the lease ends by the edge's clock.
        until: Millis,
    },
    /// Its pictures are stored.
    Succeeded,
    /// It was given up.
    Failed,
    /// Its owner took it back.
    Cancelled,
}

impl State {
    /// Whether nothing can happen to it any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// How a node ended its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every picture is stored and its hash fits.
    Stored,
    /// This node could not do it, another may.
    Broken,
    /// Nobody could do it: the request itself cannot be carried out.
    Impossible,
    /// The node goes away and has not begun; this costs no attempt.
    HandedBack,
}

/// Why a message about a job changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It was said under a lease that is not the current one.
    #[error("the lease {said} is over; the current one is {current}")]
    Stale {
        /// What the node has.
        said: Epoch,
        /// What the job has.
        current: Epoch,
    },
    /// The job does not run.
    #[error("the job is not running")]
    NotRunning,
    /// The job does not wait.
    #[error("the job is not waiting for a node")]
    NotQueued,
}

/// What must be done, in the same transaction, after a job changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Nothing.
    None,
    /// Offer it to nodes again.
    Queue,
    /// Book the price and tell its owner.
    Settle(Settlement),
}

/// One job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    state: State,
    epoch: Epoch,
    attempts: u32,
    /// Whether the present lease's node has said anything.
    #[serde(default)]
    is_heard: bool,
    /// Leases whose nodes never said anything.
    #[serde(default)]
    unheard: u32,
}

impl Default for Job {
    fn default() -> Self {
        Self { state: State::Queued, epoch: 0, attempts: 0, is_heard: false, unheard: 0 }
    }
}

impl Job {
    /// Where it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The last lease that was given.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the node of the present lease has said anything yet.
    pub const fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// Nodes that tried it.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Gives it to a node.
    ///
    /// # Errors
    /// [`Refusal::NotQueued`].
    pub fn lease(&mut self, now: Millis, length: Millis) -> Result<Epoch, Refusal> {
        if self.state != State::Queued {
            return Err(Refusal::NotQueued);
        }
        self.epoch += 1;
        self.attempts += 1;
        self.is_heard = false;
        self.state = State::Running { until: now + length };
        Ok(self.epoch)
    }

    /// Keeps a lease alive.
    ///
    /// # Errors
    /// [`Refusal`] when the node must stop.
    pub fn heartbeat(&mut self, epoch: Epoch, now: Millis, length: Millis) -> Result<(), Refusal> {
        let until = self.running(epoch)?;
        self.is_heard = true;
        // A clock that went back takes nothing from a lease.
        self.state = State::Running { until: until.max(now + length) };
        Ok(())
    }

    /// Takes a node's result.
    ///
    /// # Errors
    /// [`Refusal`] when the lease is not the current one; what was stored under it is thrown away then.
    pub fn finish(&mut self, epoch: Epoch, outcome: Outcome) -> Result<Effect, Refusal> {
        self.running(epoch)?;
        match outcome {
            Outcome::Stored => Ok(self.end(State::Succeeded)),
            Outcome::Broken => Ok(self.retry()),
            Outcome::Impossible => Ok(self.end(State::Failed)),
            Outcome::HandedBack => {
                self.attempts = self.attempts.saturating_sub(1);
                self.state = State::Queued;
                Ok(Effect::Queue)
            }
        }
    }

    /// Takes it back for its owner; a job that is over stays what it is.
    pub fn cancel(&mut self) -> Effect {
        if self.state.is_over() { Effect::None } else { self.end(State::Cancelled) }
    }

    /// Ends a lease whose node has gone silent.
    pub fn sweep(&mut self, now: Millis) -> Effect {
        match self.state {
            State::Running { until } if now >= until => {
                if !self.is_heard && self.unheard < MAX_UNHEARD {
                    self.unheard += 1;
                    self.attempts = self.attempts.saturating_sub(1);
                }
                self.retry()
            }
            _ => Effect::None,
        }
    }

    fn running(&self, said: Epoch) -> Result<Millis, Refusal> {
        if said != self.epoch {
            return Err(Refusal::Stale { said, current: self.epoch });
        }
        match self.state {
            State::Running { until } => Ok(until),
            _ => Err(Refusal::NotRunning),
        }
    }

    const fn retry(&mut self) -> Effect {
        if self.attempts >= MAX_ATTEMPTS {
            return self.end(State::Failed);
        }
        self.state = State::Queued;
        Effect::Queue
    }

    const fn end(&mut self, state: State) -> Effect {
        self.state = state;
        Effect::Settle(if matches!(state, State::Succeeded) { Settlement::Captured } else { Settlement::Refunded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: Millis = Millis(100);

    #[test]
    fn a_node_that_lost_its_lease_is_refused() {
        let mut job = Job::default();
        assert_eq!(job.lease(Millis(0), LENGTH), Ok(1));
        assert_eq!(job.sweep(Millis(99)), Effect::None);
        assert_eq!(job.heartbeat(1, Millis(90), LENGTH), Ok(()));
        assert_eq!(job.sweep(Millis(189)), Effect::None);
        assert_eq!(job.sweep(Millis(190)), Effect::Queue);
        assert_eq!(job.finish(1, Outcome::Stored), Err(Refusal::NotRunning));
        assert_eq!(job.lease(Millis(200), LENGTH), Ok(2));
        assert_eq!(job.finish(1, Outcome::Stored), Err(Refusal::Stale { said: 1, current: 2 }));
        assert_eq!(job.heartbeat(1, Millis(210), LENGTH), Err(Refusal::Stale { said: 1, current: 2 }));
        assert_eq!(job.finish(2, Outcome::Stored), Ok(Effect::Settle(Settlement::Captured)));
        assert_eq!(job.finish(2, Outcome::Stored), Err(Refusal::NotRunning));
        assert_eq!(job.cancel(), Effect::None);
    }

    #[test]
    fn three_nodes_try_and_a_handed_back_job_costs_no_try() {
        let mut job = Job::default();
        for round in 0..10 {
            let epoch = job.lease(Millis(0), LENGTH).unwrap();
            assert_eq!(epoch, round + 1);
            assert_eq!(job.finish(epoch, Outcome::HandedBack), Ok(Effect::Queue));
        }
        for attempt in 1..=MAX_ATTEMPTS {
            let epoch = job.lease(Millis(0), LENGTH).unwrap();
            assert_eq!(job.attempts(), attempt);
            let effect = job.finish(epoch, Outcome::Broken).unwrap();
            let is_last = attempt == MAX_ATTEMPTS;
            assert_eq!(effect, if is_last { Effect::Settle(Settlement::Refunded) } else { Effect::Queue });
        }
        assert_eq!(job.lease(Millis(0), LENGTH), Err(Refusal::NotQueued));
    }

    #[test]
    fn a_node_that_was_gone_before_the_job_came_costs_no_try_but_not_without_end() {
        let (mut job, mut now, mut leases) = (Job::default(), Millis(0), 0);
        while !job.state().is_over() {
            job.lease(now, LENGTH).unwrap();
            leases += 1;
            assert_eq!(job.attempts(), 1 + u32::saturating_sub(leases - 1, MAX_UNHEARD));
            now = now + LENGTH;
            let _ = job.sweep(now);
        }
        assert_eq!((job.state(), leases), (State::Failed, MAX_UNHEARD + MAX_ATTEMPTS));

        let mut job = Job::default();
        for attempt in 1..=MAX_ATTEMPTS {
            let epoch = job.lease(now, LENGTH).unwrap();
            job.heartbeat(epoch, now, LENGTH).unwrap();
            assert_eq!(job.attempts(), attempt, "a node that spoke has tried it");
            now = now + LENGTH;
            let _ = job.sweep(now);
        }
        assert_eq!(job.state(), State::Failed);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Lease,
        Heartbeat(Epoch),
        Finish(Epoch, u8),
        Cancel,
        Sweep,
        Wait(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Lease),
            2 => (0_u32..8).prop_map(Event::Heartbeat),
            3 => (0_u32..8, 0_u8..4).prop_map(|(epoch, outcome)| Event::Finish(epoch, outcome)),
            1 => Just(Event::Cancel),
            4 => Just(Event::Sweep),
            4 => (0_u64..150).prop_map(Event::Wait),
        ]
    }

    proptest! {
        /// Messages of any node in any order, late and twice.
        #[test]
        fn a_job_ends_once_and_only_its_current_node_ends_it_well(events in prop::collection::vec(event(), 0..80)) {
            let (mut job, mut now, mut settled) = (Job::default(), Millis(0), 0);
            for event in events {
                let before = job;
                let effect = match event {
                    Event::Lease => job.lease(now, LENGTH).map_or(Effect::None, |_| Effect::None),
                    Event::Heartbeat(epoch) => job.heartbeat(epoch, now, LENGTH).map_or(Effect::None, |()| Effect::None),
                    Event::Finish(epoch, outcome) => {
                        let outcomes = [Outcome::Stored, Outcome::Broken, Outcome::Impossible, Outcome::HandedBack];
                        let result = job.finish(epoch, outcomes[outcome as usize]);
                        prop_assert_eq!(result.is_ok(), epoch == before.epoch && matches!(before.state, State::Running { .. }));
                        result.unwrap_or(Effect::None)
                    }
                    Event::Cancel => job.cancel(),
                    Event::Sweep => job.sweep(now),
                    Event::Wait(time) => {
                        now = now + Millis(time);
                        Effect::None
                    }
                };
                settled += u32::from(matches!(effect, Effect::Settle(_)));
                prop_assert_eq!(settled, u32::from(job.state.is_over()), "a price is booked exactly when a job ends");
                prop_assert!(!before.state.is_over() || job == before, "what is over stays");
                prop_assert_eq!(effect == Effect::Queue, job.state == State::Queued && before.state != State::Queued);
                prop_assert!(job.epoch >= before.epoch && job.attempts <= MAX_ATTEMPTS);
            }
        }

        /// Whatever happened, a few silent nodes later it is over.
        #[test]
        fn a_job_never_hangs(events in prop::collection::vec(0_u64..300, 0..30)) {
            let (mut job, mut now) = (Job::default(), Millis(0));
            for wait in events {
                now = now + Millis(wait);
                let _ = job.sweep(now);
                let _ = job.lease(now, LENGTH);
            }
            for _ in 0..=MAX_ATTEMPTS + MAX_UNHEARD {
                now = now + LENGTH;
                let _ = job.sweep(now);
                let _ = job.lease(now, LENGTH);
            }
            prop_assert!(job.state.is_over());
        }
    }
}
