//! What goes: pictures after their time, jobs that are deleted, the whole account.

use super::{
    Inner,
    op::{Denied, ExportRecord, JobRecord, JobRef, UploadRecord},
    store::{Facts, Result, Stored},
};
use crate::{config, objects};
use gateway::job::State;

impl Inner {
    /// Deletes a job's pictures; one that is not over is taken back first.
    pub(super) async fn delete_job(&self, job: &JobRef) -> Result<JobRecord> {
        let record = self.record(job)?;
        if !record.state.is_over() {
            self.cancel(job).await?;
        }
        let mut stored = self.find(job)?;
        self.delete_pictures(&stored.record).await?;
        self.strip(&mut stored)?;
        Ok(stored.record)
    }

    /// The words go with the pictures, also those that webhooks were told.
    fn strip(&self, stored: &mut Stored) -> Result<()> {
        stored.record.is_deleted = true;
        stored.record.expires = None;
        forget_words(stored);
        self.store.forget_deliveries(&stored.record.id)?;
        self.keep(stored)
    }

    async fn delete_pictures(&self, record: &JobRecord) -> Result<()> {
        let prefix = format!("{}/pictures/{}/", record.account, record.number);
        objects::delete_prefix(&self.env, &prefix).await.map_err(|error| Denied::Internal(format!("{error:?}")))
    }

    /// Inputs that were sent with a job are not needed once it is over.
    pub(super) fn forget_inputs(&self, stored: &Stored) {
        for object in stored.own_inputs.clone() {
            let env = self.env.clone();
            self.state.wait_until(async move {
                // What stays for now is found by the sweep of inputs.
                objects::delete(&env, &object).await.ok();
            });
        }
    }

    /// Deletes pictures and uploads whose time is over, and jobs whose pictures are long gone.
    pub(super) async fn delete_expired(&self, now: u64) -> Result<()> {
        for mut stored in self.store.expired_jobs(now)? {
            if stored.record.is_deleted {
                self.store.delete_job(stored.record.number)?;
                continue;
            }
            self.delete_pictures(&stored.record).await?;
            self.strip(&mut stored)?;
        }
        for UploadRecord { id, object, .. } in self.store.expired_uploads(now)? {
            objects::delete(&self.env, &object).await.map_err(|error| Denied::Internal(format!("{error:?}")))?;
            self.store.delete_upload(&id)?;
        }
        self.store.forget_before(now.saturating_sub(self.config()?.kept.0))
    }

    /// Deletes inputs and uploads that no row knows, once a day: the edge ended between storing one and having it recorded.
    pub(super) async fn delete_orphans(&self, now: u64) -> Result<()> {
        let age = self.config()?.kept_inputs.0;
        let Some(mut facts) = self.store.facts()? else { return Ok(()) };
        if now.saturating_sub(facts.compared) < age {
            return Ok(());
        }
        let before = now.saturating_sub(age);
        facts.compared = now;
        self.store.put_facts(&facts)?;
        let failed = |error| Denied::Internal(format!("{error:?}"));
        for part in ["inputs", "uploads"] {
            let prefix = format!("{}/{part}/", facts.account);
            let old = objects::older(&self.env, &prefix, before).await.map_err(failed)?;
            // What is recorded is asked only now: it may have been recorded meanwhile.
            let mut known = self.store.open_inputs()?;
            known.extend(self.store.uploads()?.into_iter().map(|upload| upload.object));
            for object in old.into_iter().filter(|object| !known.contains(object)) {
                objects::delete(&self.env, &object).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Everything that is known of an account, but no key, hash or secret.
    pub(super) fn export(&self, facts: &Facts) -> Result<ExportRecord> {
        let keys = self.store.keys()?.into_iter().map(|mut key| {
            key.key.hash.clear();
            key
        });
        Ok(ExportRecord {
            account: self.account_record(facts)?,
            usage: self.usage(facts)?,
            keys: keys.collect(),
            jobs: self.store.jobs(u32::MAX, None)?.into_iter().map(|stored| stored.record).collect(),
            uploads: self.store.uploads()?,
            webhooks: self.webhooks(facts)?.0,
            deliveries: self.delivery_records()?,
            ledger: self.store.export("ledger")?,
            audit: self.store.export("audit")?,
        })
    }

    /// From this answer on no key works; the rest is deleted by the alarm, again and again until nothing is left.
    pub(super) async fn begin_deletion(&self, mut facts: Facts) -> Result<()> {
        for stored in self.store.jobs(1000, None)? {
            if !matches!(stored.life.state(), State::Succeeded | State::Failed | State::Cancelled) {
                self.cancel(&JobRef::Number(stored.record.number)).await?;
            }
        }
        facts.deleted = Some(config::now().0);
        self.store.put_facts(&facts)?;
        self.alarm.set(None);
        self.wake(config::now().0).await;
        Ok(())
    }

    /// Objects first, then the name in the directory, then the rows: what is cut short is begun again.
    pub(super) async fn delete_everything(&self, facts: &Facts) -> Result<()> {
        self.wake(config::now().0 + 5_000).await;
        let failed = |error| Denied::Internal(format!("{error:?}"));
        objects::delete_prefix(&self.env, &format!("{}/", facts.account)).await.map_err(failed)?;
        crate::directory::forget(&self.env, &facts.account).await.map_err(failed)?;
        let storage = self.state.storage();
        let failed = |error: worker::Error| Denied::Internal(error.to_string());
        // The alarm last: should this end in between, it finds nothing to do.
        self.store.close();
        storage.delete_all().await.map_err(failed)?;
        self.store.close();
        storage.delete_alarm().await.map_err(failed)?;
        self.live.borrow_mut().clear();
        self.log.borrow_mut().take();
        self.alarm.set(None);
        Ok(())
    }
}

fn forget_words(stored: &mut Stored) {
    use api::request::Task;
    if let Task::Generate { spec } | Task::Edit { spec, .. } | Task::Inpaint { spec, .. } =
        &mut stored.record.request.task
    {
        spec.prompt.clear();
        spec.negative_prompt.clear();
    }
    stored.record.request.delivery.track_id = None;
}
