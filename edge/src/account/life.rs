//! A job's life after it was taken: leases, reports, its end.

use super::{
    Inner,
    accept::OFFER_AGAIN,
    admission::month,
    op::{Denied, Ended, Granted, JobRecord, JobRef},
    store::{Facts, Result, Stored},
    value,
};
use crate::{config, dispatcher};
use api::{
    node::{End, Heard, Outcome, Report},
    v1::{JobStatus, date},
};
use gateway::{
    clock::Millis,
    job::{self, Effect, Refusal, State},
    ledger::Settlement,
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, rc::Rc};
use worker::console_log;

/// Days of usage that are kept.
const DAYS: usize = 62;

impl Inner {
    pub(super) fn find(&self, job: &JobRef) -> Result<Stored> {
        let stored = match job {
            JobRef::Number(number) => self.store.job(*number)?,
            JobRef::Id(id) => self.store.job_by_id(id)?,
        };
        stored.ok_or(Denied::NotFound)
    }

    /// One job, as answers say it.
    pub(super) fn record(&self, job: &JobRef) -> Result<JobRecord> {
        Ok(self.shown(self.find(job)?))
    }

    /// The same, written; out of its row as it stands there, where nobody but the row knows anything of it.
    pub(super) fn said(&self, job: &JobRef) -> Result<Box<RawValue>> {
        if self.has_progress() {
            return value(&self.record(job)?);
        }
        self.store.job_record(job)?.ok_or(Denied::NotFound)
    }

    /// What is stored, with what only memory knows.
    pub(super) fn shown(&self, stored: Stored) -> JobRecord {
        let progress = self.progress(stored.record.number);
        JobRecord { progress, ..stored.record }
    }

    /// Gives a queued job to a node.
    pub(super) async fn lease(&self, number: u64, node: String) -> Result<Granted> {
        let mut stored = self.store.job(number)?.ok_or(Denied::NotFound)?;
        let (now, length) = (config::now(), self.config()?.lease);
        let epoch = stored.life.lease(now, length).map_err(stale)?;
        stored.node = Some(node);
        self.keep(&mut stored)?;
        let previews = self.has_watchers(number);
        let granted = Granted {
            epoch,
            lease_ms: length.0,
            previews,
            traceparent: stored.traceparent.clone(),
            job: stored.record,
        };
        self.wake(now.0 + length.0).await;
        Ok(granted)
    }

    /// Whether a lease is the current one, and where its inputs are.
    pub(super) fn check(&self, number: u64, epoch: u32) -> Result<BTreeMap<String, String>> {
        let stored = self.store.job(number)?.ok_or(Denied::NotFound)?;
        if stored.life.epoch() != epoch {
            return Err(stale(Refusal::Stale { said: epoch, current: stored.life.epoch() }));
        }
        if !matches!(stored.life.state(), State::Running { .. }) {
            return Err(stale(Refusal::NotRunning));
        }
        Ok(stored.inputs)
    }

    /// Hears from a node: keeps the lease alive and passes on what it says.
    pub(super) async fn report(&self, number: u64, report: Report) -> Result<Heard> {
        let mut stored = self.store.job(number)?.ok_or(Denied::NotFound)?;
        let (now, length) = (config::now(), self.config()?.lease);
        let (before, was_heard) = (stored.life.state(), stored.life.is_heard());
        stored.life.heartbeat(report.epoch, now, length).map_err(stale)?;
        // A row a step would wait for the disk each time; half a lease is enough to know that it lives.
        let is_due = matches!((before, stored.life.state()), (State::Running { until }, State::Running { .. })
            if until.since(now).0 < length.0 / 2);
        // That it spoke at all counts as an attempt, also after a restart.
        if is_due || !was_heard {
            self.keep(&mut stored)?;
            self.wake(now.0 + length.0).await;
        }
        self.tell_progress(number, report.progress, report.preview);
        Ok(Heard { previews: self.has_watchers(number) })
    }

    /// Takes the end of a lease.
    pub(super) async fn end(&self, mut facts: Facts, number: u64, end: End) -> Result<Ended> {
        let mut stored = self.store.job(number)?.ok_or(Denied::NotFound)?;
        let End { epoch, outcome } = end;
        let kind = match &outcome {
            Outcome::Done { .. } => job::Outcome::Stored,
            Outcome::Failed { .. } => job::Outcome::Broken,
            Outcome::Refused { .. } => job::Outcome::Impossible,
            Outcome::HandedBack => job::Outcome::HandedBack,
        };
        let mut effect = stored.life.finish(epoch, kind).map_err(stale)?;
        let mut measured = None;
        match outcome {
            Outcome::Done { pictures, seconds, batch } => {
                measured = Some((stored.record.model.clone(), stored.work, seconds / f64::from(batch.max(1))));
                stored.record.pictures = pictures;
                stored.record.seconds = seconds;
                if self.is_withheld(&mut facts, &stored)? && self.config()?.refunds_flagged {
                    effect = Effect::Settle(Settlement::Refunded);
                }
            }
            Outcome::Failed { reason } | Outcome::Refused { reason } => stored.record.error = Some(reason),
            Outcome::HandedBack => {}
        }
        let again = self.apply(facts, stored, effect)?;
        self.wake_for_next().await?;
        Ok(Ended { again, measured })
    }

    /// Notes what a checker found in drawn pictures; whether none of them could be shown.
    fn is_withheld(&self, facts: &mut Facts, stored: &Stored) -> Result<bool> {
        let JobRecord { request, pictures, .. } = &stored.record;
        if request.task.spec().is_none() || !pictures.iter().any(|picture| picture.is_flagged) {
            return Ok(false);
        }
        self.strike(facts, "a picture was withheld")?;
        Ok(pictures.iter().all(|picture| picture.is_flagged))
    }

    /// Takes a job back for its owner.
    pub(super) async fn cancel(&self, job: &JobRef) -> Result<JobRecord> {
        let mut stored = self.find(job)?;
        let facts = self.store.facts()?.ok_or(Denied::NotFound)?;
        let effect = stored.life.cancel();
        let number = stored.record.number;
        self.apply(facts, stored, effect)?;
        self.wake_for_next().await?;
        self.record(&JobRef::Number(number))
    }

    /// Books what a change of a job means, in the same transaction; a job that waits again is returned, to be offered.
    pub(super) fn apply(&self, mut facts: Facts, mut stored: Stored, effect: Effect) -> Result<Option<JobRecord>> {
        let number = stored.record.number;
        match effect {
            Effect::None => Ok(None),
            Effect::Queue => {
                stored.node = None;
                stored.offered = config::now().0;
                self.keep(&mut stored)?;
                Ok(Some(self.shown(stored)))
            }
            Effect::Settle(settlement) => {
                let now = config::now().0;
                let is_captured = settlement == Settlement::Captured;
                self.store.settle(number, is_captured, now)?;
                stored.record.finished = Some(now);
                let config = self.config()?;
                let kept = if stored.record.request.delivery.temporary { config.kept_temporary } else { config.kept };
                stored.record.expires = Some(now + kept.0);
                count(&mut facts, &stored, is_captured, now);
                self.keep(&mut stored)?;
                self.announce(&stored)?;
                self.store.put_facts(&facts)?;
                self.tell_end(&stored.record);
                self.forget_inputs(&stored);
                log(&stored);
                Ok(None)
            }
        }
    }

    /// Writes a job, with when something must be done about it.
    pub(super) fn keep(&self, stored: &mut Stored) -> Result<()> {
        stored.record.state = stored.life.state();
        stored.record.epoch = stored.life.epoch();
        let due = match stored.life.state() {
            State::Queued => Some(stored.offered + OFFER_AGAIN),
            State::Running { until } => Some(until.0),
            _ => None,
        };
        let goes = if stored.record.is_deleted {
            let kept = self.config()?.kept.0;
            stored.record.finished.map(|finished| finished + kept)
        } else {
            stored.record.expires
        };
        self.store.put_job(stored, due, goes)
    }

    /// Ends leases of silent nodes, offers what no node has, sends what is due, deletes what is over.
    pub(super) async fn sweep(self: Rc<Self>) -> Result<()> {
        let Some(facts) = self.store.facts()? else { return Ok(()) };
        if facts.deleted.is_some() {
            return self.delete_everything(&facts).await;
        }
        let now = config::now();
        let mut offers = Vec::new();
        for mut stored in self.store.due_jobs(now.0)? {
            let effect = stored.life.sweep(now);
            if stored.life.state() == State::Queued {
                stored.offered = now.0;
                self.keep(&mut stored)?;
                offers.push(self.shown(stored));
            } else {
                if matches!(effect, Effect::Settle(_)) {
                    stored.record.error = Some("every node that tried it went silent".to_owned());
                }
                let facts = self.store.facts()?.unwrap_or_default();
                self.apply(facts, stored, effect)?;
            }
        }
        if !offers.is_empty() {
            dispatcher::offer(&self.env, &offers).await;
        }
        self.delete_expired(now.0).await?;
        self.delete_orphans(now.0).await?;
        Rc::clone(&self).deliver_due()?;
        self.alarm.set(None);
        self.wake_for_next().await
    }
}

fn stale(refusal: Refusal) -> Denied {
    Denied::Stale(refusal.to_string())
}

/// Pictures and credits of the day; a picture that was not delivered is not one of the month's.
fn count(facts: &mut Facts, stored: &Stored, is_captured: bool, now: u64) {
    if !is_captured {
        if facts.month.0 == month(stored.record.created) {
            facts.month.1 = facts.month.1.saturating_sub(stored.from_month);
        }
        return;
    }
    let day = date(now);
    if facts.days.back().is_none_or(|(last, ..)| *last != day) {
        facts.days.push_back((day, 0, 0));
        if facts.days.len() > DAYS {
            facts.days.pop_front();
        }
    }
    if let Some((_, pictures, credits)) = facts.days.back_mut() {
        *pictures += (stored.record.pictures.len() as u64).min(u64::from(stored.record.request.task.pictures()));
        *credits += stored.record.price;
    }
}

/// One line a job, without its prompt.
fn log(stored: &Stored) {
    let record = &stored.record;
    let took = Millis(record.finished.unwrap_or_default()).since(Millis(record.created)).0;
    let line = serde_json::json!({
        "level": "info", "message": "job over", "job": record.id, "account": record.account, "state": status(record.state),
        "model": record.model, "epoch": record.epoch, "attempts": stored.life.attempts(), "price": record.price,
        "milliseconds": took, "traceparent": stored.traceparent,
    });
    console_log!("{line}");
}

/// A state as our own dialect says it.
pub const fn status(state: State) -> JobStatus {
    match state {
        State::Queued => JobStatus::Queued,
        State::Running { .. } => JobStatus::Running,
        State::Succeeded => JobStatus::Succeeded,
        State::Failed => JobStatus::Failed,
        State::Cancelled => JobStatus::Cancelled,
    }
}
