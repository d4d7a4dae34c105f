//! Keys, and the account's beginning.

use super::{
    Inner,
    op::{Denied, KeyRecord, NewKey},
    store::{Facts, Result},
};
use crate::{config, random};

/// Keys that an account may have.
const MOST: usize = 50;

impl Inner {
    /// Opens a new account; a second time changes nothing.
    pub(super) fn open(&self, account: String, key: NewKey, plan: &str) -> Result<()> {
        if self.store.facts()?.is_some() {
            return Err(Denied::Invalid("the account is open already".to_owned()));
        }
        let credits = self.config()?.plans.get(plan).map_or(0, |plan| plan.credits_at_start);
        let webhook_secret = random::bytes().map_err(|_| Denied::Internal("there are no random bytes".to_owned()))?;
        let now = config::now().0;
        self.store.open()?;
        let facts = Facts { account, plan: plan.to_owned(), created: now, webhook_secret, ..Facts::default() };
        self.store.put_facts(&facts)?;
        self.store.grant(credits, now)?;
        self.store.put_key(&KeyRecord { key, created: now, last_used: None })
    }

    pub(super) fn create_key(&self, key: NewKey) -> Result<KeyRecord> {
        if self.store.keys()?.len() >= MOST {
            return Err(Denied::Invalid(format!("an account has {MOST} keys at most; delete one first")));
        }
        let now = config::now().0;
        self.store.audit(now, &format!("the key {} was made", key.id))?;
        let record = KeyRecord { key, created: now, last_used: None };
        self.store.put_key(&record)?;
        Ok(record)
    }

    pub(super) fn rotate_key(&self, id: &str, hash: String, shown: String) -> Result<KeyRecord> {
        let mut record = self.store.key_by_id(id)?.ok_or(Denied::NotFound)?;
        self.store.audit(config::now().0, &format!("the key {id} was rotated"))?;
        record.key.hash = hash;
        record.key.shown = shown;
        self.store.put_key(&record)?;
        Ok(record)
    }

    pub(super) fn delete_key(&self, id: &str) -> Result<()> {
        let record = self.store.key_by_id(id)?.ok_or(Denied::NotFound)?;
        let keys = self.store.keys()?;
        let can_manage = |key: &KeyRecord| key.key.scopes.iter().any(|scope| scope == "account");
        if can_manage(&record) && keys.iter().filter(|key| can_manage(key)).count() == 1 {
            let words = "this is the last key that can manage the account; rotate it, or make another first";
            return Err(Denied::Invalid(words.to_owned()));
        }
        self.store.audit(config::now().0, &format!("the key {id} was deleted"))?;
        self.store.delete_key(id)
    }
}
