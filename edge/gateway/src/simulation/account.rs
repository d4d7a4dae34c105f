//! An account's object: what it does in one call is one transaction.

use super::Rule;
use crate::{
    clock::Millis,
    idempotency::{Kept, Replay, replay},
    job::{Effect, Epoch, Job, Outcome, State},
    ledger::{Credits, JobNumber, Ledger, Settlement},
    pool::{Pool, Waiting},
};
use std::collections::BTreeMap;

pub const LEASE: Millis = Millis::seconds(30);

/// A job's row.
#[derive(Debug, Clone)]
pub struct Row {
    pub job: Job,
    pub pictures: u32,
    pub work: u64,
    /// Settlements that were booked; the second would be a fault.
    pub booked: u32,
    /// The lease under which it succeeded.
    pub won: Option<Epoch>,
    /// Webhooks that are still owed, and those that were sent.
    pub owed: bool,
    pub told: u32,
}

/// An account's rows.
#[derive(Debug, Default)]
pub struct Account {
    pub ledger: Ledger,
    pub rows: BTreeMap<JobNumber, Row>,
    pub kept: BTreeMap<u64, Kept<JobNumber>>,
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    New(JobNumber),
    Replayed(JobNumber),
    Refused,
}

impl Account {
    /// Accepts a request: hold, row and kept answer in one transaction.
    pub fn accept(&mut self, key: u64, price: Credits, pictures: u32, work: u64, now: Millis) -> Accepted {
        let request = [key as u8; 32];
        match replay(self.kept.get(&key), request, now) {
            Ok(Replay::Answer(&number)) => return Accepted::Replayed(number),
            Ok(Replay::New) => {}
            Err(_) => return Accepted::Refused,
        }
        let number = self.rows.len() as JobNumber + 1;
        if self.ledger.reserve(number, price).is_err() {
            return Accepted::Refused;
        }
        let row = Row { job: Job::default(), pictures, work, booked: 0, won: None, owed: false, told: 0 };
        self.rows.insert(number, row);
        self.kept.insert(key, Kept { request, at: now, answer: number });
        Accepted::New(number)
    }

    /// Gives a job to a node.
    pub fn lease(&mut self, number: JobNumber, now: Millis) -> Option<Epoch> {
        self.rows.get_mut(&number)?.job.lease(now, LEASE).ok()
    }

    /// Keeps a lease alive; `false` tells the node to stop.
    pub fn heartbeat(&mut self, number: JobNumber, epoch: Epoch, now: Millis) -> bool {
        self.rows.get_mut(&number).is_some_and(|row| row.job.heartbeat(epoch, now, LEASE).is_ok())
    }

    /// Takes a node's result; `false` is a refusal.
    pub fn finish(&mut self, number: JobNumber, epoch: Epoch, outcome: Outcome) -> Result<bool, Rule> {
        let Some(row) = self.rows.get_mut(&number) else { return Ok(false) };
        let Ok(effect) = row.job.finish(epoch, outcome) else { return Ok(false) };
        if outcome == Outcome::Stored {
            row.won = Some(epoch);
        }
        self.apply(number, effect)?;
        Ok(true)
    }

    /// The owner takes a job back.
    pub fn cancel(&mut self, number: JobNumber) -> Result<(), Rule> {
        let Some(row) = self.rows.get_mut(&number) else { return Ok(()) };
        let effect = row.job.cancel();
        self.apply(number, effect)
    }

    /// The alarm: ends silent leases, offers again what waits, and says what must be told.
    pub fn alarm(&mut self, id: &str, pool: &mut Pool, now: Millis) -> Result<Vec<JobNumber>, Rule> {
        let numbers: Vec<JobNumber> = self.rows.keys().copied().collect();
        let mut owed = Vec::new();
        for number in numbers {
            let effect = self.rows.get_mut(&number).map_or(Effect::None, |row| row.job.sweep(now));
            self.apply(number, effect)?;
            let Some(row) = self.rows.get(&number) else { continue };
            if row.job.state() == State::Queued {
                pool.offer(
                    id,
                    1,
                    Waiting { job: number, model: "demo".to_owned(), work: row.work, needs_checker: false },
                );
            }
            if row.owed {
                owed.push(number);
            }
        }
        Ok(owed)
    }

    fn apply(&mut self, number: JobNumber, effect: Effect) -> Result<(), Rule> {
        let Effect::Settle(settlement) = effect else { return Ok(()) };
        let is_first = self.ledger.settle(number, settlement) == Ok(true);
        let Some(row) = self.rows.get_mut(&number) else { return Ok(()) };
        row.booked += 1;
        row.owed = true;
        if is_first && row.booked == 1 { Ok(()) } else { Err(Rule::BookedOnce) }
    }

    /// Whether the books agree.
    pub fn is_balanced(&self) -> bool {
        let Self { ledger, rows, .. } = self;
        let ends = rows.iter().all(|(&number, row)| {
            let expected = match row.job.state() {
                State::Queued | State::Running { .. } => None,
                State::Succeeded => Some(Settlement::Captured),
                State::Failed | State::Cancelled => Some(Settlement::Refunded),
            };
            ledger.settlement(number) == expected
        });
        ends && ledger.granted() == ledger.balance() + ledger.held() + ledger.captured()
    }
}
