//! Taking a job: everything that is decided, debited and recorded, in one synchronous block.

use super::{
    Inner,
    admission::month,
    op::{Accept, Denied, Dialect, JobRecord, KeyRecord},
    store::{Facts, Result, Stored},
};
use crate::{config, random::hex};
use api::v1::date;
use gateway::{
    idempotency::{self, Kept, Replay},
    job::{Job, State},
    plan::Plan,
    price,
};

/// A queued job that no node has taken is offered again after this long, in milliseconds.
pub(super) const OFFER_AGAIN: u64 = 5_000;
/// Pictures a day by an account's publishable keys.
const PUBLIC_PICTURES: u64 = 50;

impl Inner {
    /// Takes a job, or says why not; then nothing has changed but the count of requests.
    pub(super) async fn accept(&self, facts: Facts, key: &KeyRecord, accept: Accept) -> Result<JobRecord> {
        let record = self.accept_now(facts, key, accept)?;
        self.wake(config::now().0 + OFFER_AGAIN).await;
        Ok(record)
    }

    /// No wait may come in between: that is what makes it one transaction.
    fn accept_now(&self, mut facts: Facts, key: &KeyRecord, accept: Accept) -> Result<JobRecord> {
        let now = config::now();
        if let Some(record) = self.answered_before(&accept)? {
            return Ok(record);
        }
        if accept.is_blocked {
            self.strike(&mut facts, "a prompt had a blocked term")?;
            self.store.put_facts(&facts)?;
            return Err(Denied::Blocked);
        }
        let plan = self.plan(&facts)?;
        check_plan(plan, &accept)?;
        if self.store.open_jobs()? >= plan.queued_jobs {
            return Err(Denied::QueueFull(plan.queued_jobs));
        }
        if let Some(hash) = accept.same_request
            && accept.idempotency.is_none()
            && !facts.recent.is_new(hash, now)
        {
            return Err(Denied::SameRequest);
        }
        let pictures = u64::from(accept.request.task.pictures());
        if key.key.is_publishable {
            count_public(&mut facts, pictures, now.0)?;
        }
        let from_month = from_month(&mut facts, plan, pictures, now.0);
        let price = if from_month > 0 { 0 } else { price::price(&accept.request) };
        let number = facts.last_job + 1;
        if !self.store.reserve(number, price, now.0)? {
            let balance = self.store.credits()?;
            let is_monthly = plan.images_per_month.is_some() && balance == 0;
            return Err(if is_monthly { Denied::Monthly } else { Denied::Insufficient { price, balance } });
        }
        facts.last_job = number;
        if let Some((key, request)) = &accept.idempotency {
            let forget = now.0.saturating_sub(idempotency::KEPT.0);
            self.store.put_idempotency(key, &hex(request), number, now.0, forget)?;
        }
        let stored = stored(&facts, accept, plan, number, price, from_month);
        self.store.put_job(&stored, Some(now.0 + OFFER_AGAIN), None)?;
        self.save_log()?;
        self.store.put_facts(&facts)?;
        Ok(stored.record)
    }

    /// The job of an earlier request with the same `Idempotency-Key`.
    fn answered_before(&self, accept: &Accept) -> Result<Option<JobRecord>> {
        let Some((key, request)) = &accept.idempotency else { return Ok(None) };
        let Some((kept, job, at)) = self.store.idempotency(key)? else { return Ok(None) };
        let kept = Kept {
            request: crate::random::unhex(&kept).unwrap_or_default(),
            at: gateway::clock::Millis(at),
            answer: job,
        };
        match idempotency::replay(Some(&kept), *request, config::now()) {
            Ok(Replay::New) => Ok(None),
            Ok(Replay::Answer(&job)) => {
                let Stored { record, .. } = self.store.job(job)?.ok_or(Denied::NotFound)?;
                // As it was answered the first time, byte for byte.
                Ok(Some(JobRecord {
                    is_replay: true,
                    state: State::Queued,
                    finished: None,
                    expires: None,
                    pictures: Vec::new(),
                    error: None,
                    ..record
                }))
            }
            Err(error) => Err(Denied::Conflict(error.to_string())),
        }
    }

    /// Notes a hit, of a blocked term or by a checker; many of them suspend the account.
    pub(super) fn strike(&self, facts: &mut Facts, what: &str) -> Result<()> {
        let now = config::now();
        self.store.audit(now.0, what)?;
        if facts.strikes.hit(self.config()?.strikes, now) {
            self.store.audit(now.0, &format!("the account was suspended: {what} too often"))?;
            facts.suspended = Some("its prompts asked again and again for what is not drawn here".to_owned());
        }
        Ok(())
    }
}

fn check_plan(plan: Plan, accept: &Accept) -> Result<()> {
    plan.check(&accept.request).map_err(|errors| {
        Denied::Fields(errors.into_iter().map(|error| (error.name.clone(), error.to_string())).collect())
    })
}

/// Keys that anyone may see have a small share of their own.
fn count_public(facts: &mut Facts, pictures: u64, now: u64) -> Result<()> {
    let today = date(now);
    if facts.public.0 != today {
        facts.public = (today, 0);
    }
    if facts.public.1 + pictures > PUBLIC_PICTURES {
        return Err(Denied::Forbidden(format!("publishable keys make {PUBLIC_PICTURES} pictures a day at most")));
    }
    facts.public.1 += pictures;
    Ok(())
}

/// Takes pictures from the plan's month, all or none of them.
fn from_month(facts: &mut Facts, plan: Plan, pictures: u64, now: u64) -> u64 {
    let Some(most) = plan.images_per_month else { return 0 };
    let month = month(now);
    if facts.month.0 != month {
        facts.month = (month, 0);
    }
    if facts.month.1 + pictures > u64::from(most) {
        return 0;
    }
    facts.month.1 += pictures;
    pictures
}

fn stored(facts: &Facts, accept: Accept, plan: Plan, number: u64, price: u64, from_month: u64) -> Stored {
    let life = Job::default();
    let now = config::now().0;
    let own_inputs = accept.inputs.values().filter(|object| object.contains("/inputs/")).cloned().collect();
    let work = price::work(&accept.request);
    let record = JobRecord {
        number,
        id: accept.id,
        account: facts.account.clone(),
        state: life.state(),
        epoch: 0,
        request: accept.request,
        model: accept.model,
        price,
        dialect: accept.dialect,
        base: accept.base,
        created: now,
        finished: None,
        expires: None,
        pictures: Vec::new(),
        seconds: 0.0,
        error: None,
        progress: None,
        eta: accept.eta,
        position: accept.position,
        file_prefix: accept.file_prefix,
        is_deleted: false,
        priority: plan.priority,
        is_replay: false,
    };
    Stored {
        record,
        life,
        inputs: accept.inputs,
        own_inputs,
        work,
        from_month,
        traceparent: accept.traceparent,
        node: None,
        offered: now,
    }
}

/// Whether a job speaks our own dialect.
pub(super) fn is_ours(record: &JobRecord) -> bool {
    record.dialect == Dialect::V1
}
