//! Who may come in: the key, its scope and origin, and the sliding window.

use super::{
    Inner,
    op::{AccountRecord, Credential, Denied, KeyRecord, LimitState, Usage},
    store::{Facts, Result},
};
use crate::config;
use api::v1::date;
use gateway::plan::Plan;

/// How stale a key's mark of its last use may be.
const LAST_USED: u64 = 60_000;

impl Inner {
    /// Checks a key, and counts the request.
    pub(super) fn admit(
        &self,
        facts: &Facts,
        credential: &Credential,
        limit: &mut Option<LimitState>,
    ) -> Result<KeyRecord> {
        let mut key = self.store.key(&credential.hash)?.ok_or(Denied::Unauthenticated)?;
        if facts.deleted.is_some() {
            return Err(Denied::Unauthenticated);
        }
        let scope = credential.scope.as_str();
        if !key.key.scopes.iter().any(|allowed| allowed == scope) {
            return Err(Denied::Forbidden(format!("this key has no scope `{scope}`")));
        }
        if key.key.is_publishable {
            let origin = credential.origin.as_deref().unwrap_or("no page");
            if !key.key.origins.iter().any(|allowed| allowed == origin) {
                return Err(Denied::Forbidden(format!("this key is for pages of its own origins, not for {origin}")));
            }
        }
        let plan = self.plan(facts)?;
        if credential.counts {
            let (state, is_admitted) = self.count(plan)?;
            *limit = Some(state);
            if !is_admitted {
                return Err(Denied::RateLimited);
            }
        }
        if let Some(reason) = &facts.suspended {
            return Err(Denied::Suspended(reason.clone()));
        }
        let now = config::now().0;
        if key.last_used.is_none_or(|last| now.saturating_sub(last) > LAST_USED) {
            key.last_used = Some(now);
            self.store.put_key(&key)?;
        }
        Ok(key)
    }

    /// Counts a request in memory; it is written with the job that it admits, so that a crash admits no job twice.
    fn count(&self, plan: Plan) -> Result<(LimitState, bool)> {
        let mut log = self.log.borrow_mut();
        if log.is_none() {
            *log = Some(self.store.log()?);
        }
        let log = log.get_or_insert_default();
        let decision = log.admit(plan.limit(), config::now());
        let state = LimitState {
            requests: plan.requests,
            window_seconds: plan.window_seconds,
            remaining: decision.remaining,
            retry_after_ms: decision.retry_after.0,
        };
        Ok((state, decision.admitted))
    }

    /// What the account's plan allows.
    pub(super) fn plan(&self, facts: &Facts) -> Result<Plan> {
        let config = self.config()?;
        let plan = config.plans.get(&facts.plan).or_else(|| config.plans.get("free"));
        plan.copied().ok_or_else(|| Denied::Internal(format!("there is no plan {}", facts.plan)))
    }

    pub(super) fn account_record(&self, facts: &Facts) -> Result<AccountRecord> {
        Ok(AccountRecord {
            account: facts.account.clone(),
            plan: facts.plan.clone(),
            credits: self.store.credits()?,
            held: self.store.held()?,
            side: self.plan(facts)?.side,
            created: facts.created,
            suspended: facts.suspended.clone(),
        })
    }

    pub(super) fn usage(&self, facts: &Facts) -> Result<Usage> {
        let plan = self.plan(facts)?;
        let month = month(config::now().0);
        let images_this_month =
            facts.days.iter().filter(|(day, ..)| day.starts_with(&month)).map(|(_, images, _)| images).sum();
        Ok(Usage {
            plan: facts.plan.clone(),
            credits: self.store.credits()?,
            held: self.store.held()?,
            images_this_month,
            images_per_month: plan.images_per_month,
            queued: self.store.open_jobs()?,
            queued_jobs: plan.queued_jobs,
            requests_per_window: plan.requests,
            days: facts.days.iter().rev().cloned().collect(),
        })
    }

    pub(super) fn set_plan(&self, mut facts: Facts, plan: String) -> Result<()> {
        let found = self.config()?.plans.get(&plan).copied();
        let found = found.ok_or_else(|| Denied::Invalid(format!("there is no plan `{plan}`")))?;
        let now = config::now().0;
        if found.credits_at_start > 0 && facts.plan != plan && facts.plan != "free" {
            self.store.grant(found.credits_at_start, now)?;
        }
        self.store.audit(now, &format!("the plan was changed from {} to {plan}", facts.plan))?;
        facts.plan = plan;
        self.store.put_facts(&facts)
    }

    pub(super) fn suspend(&self, mut facts: Facts, reason: Option<String>) -> Result<()> {
        let what = reason.as_deref().unwrap_or("nothing any more");
        self.store.audit(config::now().0, &format!("the account was suspended for {what}"))?;
        facts.suspended = reason;
        self.store.put_facts(&facts)
    }

    /// Writes the admitted requests, which only memory has had so far.
    pub(super) fn save_log(&self) -> Result<()> {
        self.log.borrow().as_ref().map_or(Ok(()), |log| self.store.put_log(log))
    }
}

/// The month of a time, `2026-11`.
pub(super) fn month(millis: u64) -> String {
    let mut text = date(millis);
    text.truncate(7);
    text
}
