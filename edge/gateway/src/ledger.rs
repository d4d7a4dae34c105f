//! An account's credits: what came in, what is held for jobs, what was spent.
//!
//! A job's price is computed once and held when it is accepted. What is held is then captured or given back, exactly one of
//! them and once, however often the news of the job's end arrives. The Durable Object keeps these rows in SQL under the same
//! rules (`CHECK(balance >= 0)`, `UNIQUE(job, kind)`); this is the model that it is tested against.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Whole credits.
pub type Credits = u64;
/// A job's number within its account.
pub type JobNumber = u64;

/// How a held price ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settlement {
    /// The pictures were delivered.
    Captured,
    /// The job failed, was cancelled or was refused.
    Refunded,
}

/// Why nothing was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// There are not enough credits.
    #[error("this costs {price} credits, and {balance} are left")]
    Insufficient {
        /// What the job costs.
        price: Credits,
        /// What is left.
        balance: Credits,
    },
    /// The job has a row already.
    #[error("job {0} was accepted before")]
    Twice(JobNumber),
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobNumber),
    /// The sum would not fit.
    #[error("that many credits cannot be counted")]
    Overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    price: Credits,
    settlement: Option<Settlement>,
}

/// One account's book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    granted: Credits,
    balance: Credits,
    jobs: BTreeMap<JobNumber, Entry>,
}

impl Ledger {
    /// What may still be spent.
    pub const fn balance(&self) -> Credits {
        self.balance
    }

    /// Everything that ever came in.
    pub const fn granted(&self) -> Credits {
        self.granted
    }

    /// What is held for jobs that are not over.
    pub fn held(&self) -> Credits {
        self.sum(None)
    }

    /// What was spent for good.
    pub fn captured(&self) -> Credits {
        self.sum(Some(Settlement::Captured))
    }

    fn sum(&self, settlement: Option<Settlement>) -> Credits {
        self.jobs.values().filter(|entry| entry.settlement == settlement).map(|entry| entry.price).sum()
    }

    /// Adds credits that never expire.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`].
    pub fn grant(&mut self, credits: Credits) -> Result<(), LedgerError> {
        let granted = self.granted.checked_add(credits).ok_or(LedgerError::Overflow)?;
        // What is left is at most what came in, so this fits too.
        (self.granted, self.balance) = (granted, self.balance + credits);
        Ok(())
    }

    /// Holds the price of a new job.
    ///
    /// # Errors
    /// [`LedgerError::Insufficient`] or [`LedgerError::Twice`]; nothing is held then.
    pub fn reserve(&mut self, job: JobNumber, price: Credits) -> Result<(), LedgerError> {
        if self.jobs.contains_key(&job) {
            return Err(LedgerError::Twice(job));
        }
        let balance = self.balance;
        self.balance = balance.checked_sub(price).ok_or(LedgerError::Insufficient { price, balance })?;
        self.jobs.insert(job, Entry { price, settlement: None });
        Ok(())
    }

    /// Ends a job's hold; the first settlement counts, and `false` says that this was not the first.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`].
    pub fn settle(&mut self, job: JobNumber, settlement: Settlement) -> Result<bool, LedgerError> {
        let entry = self.jobs.get_mut(&job).ok_or(LedgerError::Unknown(job))?;
        if entry.settlement.is_some() {
            return Ok(false);
        }
        entry.settlement = Some(settlement);
        if settlement == Settlement::Refunded {
            self.balance += entry.price;
        }
        Ok(true)
    }

    /// How a job's hold ended, if it did.
    pub fn settlement(&self, job: JobNumber) -> Option<Settlement> {
        self.jobs.get(&job)?.settlement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_there_is_not_spent() {
        let mut ledger = Ledger::default();
        ledger.grant(20).unwrap();
        ledger.reserve(1, 15).unwrap();
        assert_eq!(ledger.reserve(2, 6), Err(LedgerError::Insufficient { price: 6, balance: 5 }));
        assert_eq!(ledger.reserve(1, 1), Err(LedgerError::Twice(1)));
        assert_eq!(ledger.settle(2, Settlement::Captured), Err(LedgerError::Unknown(2)));
        assert_eq!(ledger.settle(1, Settlement::Refunded), Ok(true));
        assert_eq!(ledger.settle(1, Settlement::Captured), Ok(false));
        assert_eq!((ledger.balance(), ledger.captured(), ledger.held()), (20, 0, 0));
        assert_eq!(ledger.grant(u64::MAX), Err(LedgerError::Overflow));
        assert_eq!(ledger.balance(), 20);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Grant(u64),
        Reserve(u64, u64),
        Settle(u64, bool),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0_u64..50).prop_map(Event::Grant),
            (0_u64..20, 0_u64..30).prop_map(|(job, price)| Event::Reserve(job, price)),
            (0_u64..20, any::<bool>()).prop_map(|(job, captured)| Event::Settle(job, captured)),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_made_and_nothing_is_lost(events in prop::collection::vec(event(), 0..200)) {
            let mut ledger = Ledger::default();
            let mut ends = BTreeMap::new();
            for event in events {
                match event {
                    Event::Grant(credits) => ledger.grant(credits).unwrap(),
                    Event::Reserve(job, price) => {
                        let before = ledger.balance();
                        let reserved = ledger.reserve(job, price);
                        prop_assert_eq!(ledger.balance(), if reserved.is_ok() { before - price } else { before });
                    }
                    Event::Settle(job, captured) => {
                        let settlement = if captured { Settlement::Captured } else { Settlement::Refunded };
                        if ledger.settle(job, settlement) == Ok(true) {
                            prop_assert!(ends.insert(job, settlement).is_none(), "settled twice");
                        }
                        prop_assert_eq!(ledger.settlement(job), ends.get(&job).copied());
                    }
                }
                prop_assert_eq!(ledger.granted(), ledger.balance() + ledger.held() + ledger.captured());
            }
        }
    }
}
