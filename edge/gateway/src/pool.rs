//! The waiting jobs of a pool of nodes: whose turn it is, how long the queue is, when a job will be done.
//!
//! Accounts take turns by start-time fair queueing (Goyal, Vin and Cheng, 1996): each has a virtual clock that advances by the
//! work it was given over its priority, and the one that is furthest behind is next. An account that floods the pool delays
//! itself; one that was away gets no credit for the time. The order within an account is that of arrival.

use crate::{clock::Millis, ledger::JobNumber};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// An account, by the name that the pool knows it under.
pub type AccountId = String;

/// A job that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its number in its account.
    pub job: JobNumber,
    /// The model it needs.
    pub model: String,
    /// Its work, in pixels times steps.
    pub work: u64,
    /// Whether its pictures must be judged, so that only a node with a checker can have it.
    pub needs_checker: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    jobs: VecDeque<Waiting>,
    priority: u32,
    /// Virtual time at which its next job starts.
    start: f64,
}

/// A pool's queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    accounts: BTreeMap<AccountId, Account>,
    /// Virtual time of the job that was given out last.
    now: f64,
    paces: BTreeMap<String, Pace>,
}

/// How fast a model's jobs are done: sums over measured jobs, in which older ones count less and less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Pace {
    jobs: f64,
    work: f64,
    seconds: f64,
    work_squared: f64,
    work_seconds: f64,
}

/// What is left of a measurement's weight after the next one.
const KEPT: f64 = 0.9;
/// Before anything was measured: ten seconds for 512 x 512 in 20 steps.
const UNMEASURED: f64 = 10.0 / (512.0 * 512.0 * 20.0);

impl Pace {
    fn add(&mut self, work: f64, seconds: f64) {
        let sums = [
            (&mut self.jobs, 1.0),
            (&mut self.work, work),
            (&mut self.seconds, seconds),
            (&mut self.work_squared, work * work),
            (&mut self.work_seconds, work * seconds),
        ];
        for (sum, new) in sums {
            *sum = *sum * KEPT + new;
        }
    }

    /// A line through what was measured; through the origin where all jobs were alike, or where the line makes no sense.
    fn seconds(&self, work: f64) -> f64 {
        let spread = self.jobs * self.work_squared - self.work * self.work;
        if spread > 1e-6 * self.work * self.work {
            let slope = (self.jobs * self.work_seconds - self.work * self.seconds) / spread;
            let fixed = (self.seconds - slope * self.work) / self.jobs;
            if slope >= 0.0 && fixed >= 0.0 {
                return fixed + slope * work;
            }
        }
        self.seconds / self.work * work
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Jobs that are given out before it.
    pub ahead: usize,
    /// Seconds until it is done, by measured times.
    pub eta: f64,
}

impl Pool {
    /// Puts a job at the end of its account's line; one that is there already stays where it is.
    pub fn offer(&mut self, account: &str, priority: u32, waiting: Waiting) {
        let now = self.now;
        let entry = self.accounts.entry(account.to_owned()).or_default();
        if entry.jobs.iter().any(|there| there.job == waiting.job) {
            return;
        }
        if entry.jobs.is_empty() {
            entry.start = entry.start.max(now);
        }
        entry.priority = priority.max(1);
        entry.jobs.push_back(waiting);
    }

    /// Takes the next job that a node can do.
    pub fn take(&mut self, can_do: impl Fn(&Waiting) -> bool) -> Option<(AccountId, Waiting)> {
        let (id, index) = self.next(&can_do)?;
        let account = self.accounts.get_mut(&id)?;
        let waiting = account.jobs.remove(index)?;
        self.now = self.now.max(account.start);
        account.start += cost(&waiting, account.priority);
        self.forget_idle();
        Some((id, waiting))
    }

    /// Takes a job out, because it was cancelled.
    pub fn remove(&mut self, account: &str, job: JobNumber) -> bool {
        let Some(entry) = self.accounts.get_mut(account) else { return false };
        let before = entry.jobs.len();
        entry.jobs.retain(|waiting| waiting.job != job);
        let is_removed = entry.jobs.len() < before;
        self.forget_idle();
        is_removed
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.accounts.values().map(|account| account.jobs.len()).sum()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Learns from a job that took this long.
    pub fn measured(&mut self, model: &str, work: u64, took: Millis) {
        self.paces.entry(model.to_owned()).or_default().add(work.max(1) as f64, took.0 as f64 / 1000.0);
    }

    /// The same without the queue: what was measured, to be kept while the pool itself is not.
    #[must_use]
    pub fn paces_only(&self) -> Self {
        Self { paces: self.paces.clone(), ..Self::default() }
    }

    /// Takes over what another pool has measured.
    pub fn learn_from(&mut self, other: &Self) {
        self.paces.clone_from(&other.paces);
    }

    /// Seconds of everything that waits, one after another.
    pub fn queue_seconds(&self) -> f64 {
        let waiting = self.accounts.values().flat_map(|account| &account.jobs);
        waiting.map(|waiting| self.seconds(&waiting.model, waiting.work)).sum()
    }

    /// Seconds that a job would take on a free node.
    pub fn seconds(&self, model: &str, work: u64) -> f64 {
        let work = work.max(1) as f64;
        self.paces.get(model).map_or(UNMEASURED * work, |pace| pace.seconds(work))
    }

    /// Where a waiting job stands, with so many slots that work in parallel; `None` when it does not wait.
    pub fn place(&self, account: &str, job: JobNumber, slots: usize) -> Option<Place> {
        let mine = self.accounts.get(account)?;
        let index = mine.jobs.iter().position(|waiting| waiting.job == job)?;
        let own = mine.jobs.get(index)?;
        let start = mine.start + mine.jobs.iter().take(index).map(|waiting| cost(waiting, mine.priority)).sum::<f64>();
        let (mut ahead, mut seconds) = (0, 0.0);
        for (id, other) in &self.accounts {
            let mut begins = other.start;
            for waiting in &other.jobs {
                let is_before = begins < start || (begins <= start && id.as_str() < account);
                if id != account && is_before || id == account && ahead_in_line(mine, waiting, index) {
                    ahead += 1;
                    seconds += self.seconds(&waiting.model, waiting.work);
                }
                begins += cost(waiting, other.priority);
            }
        }
        Some(Place { ahead, eta: seconds / slots.max(1) as f64 + self.seconds(&own.model, own.work) })
    }

    /// The account that is furthest behind and its first job that can be done.
    fn next(&self, can_do: impl Fn(&Waiting) -> bool) -> Option<(AccountId, usize)> {
        let doable = self.accounts.iter().filter_map(|(id, account)| {
            let index = account.jobs.iter().position(&can_do)?;
            Some((account.start, id, index))
        });
        let (_, id, index) = doable.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)))?;
        Some((id.clone(), index))
    }

    /// An account without jobs is kept only while its clock is ahead, or it could begin anew and jump the line.
    fn forget_idle(&mut self) {
        let now = self.now;
        self.accounts.retain(|_, account| !account.jobs.is_empty() || account.start > now);
    }
}

fn cost(waiting: &Waiting, priority: u32) -> f64 {
    waiting.work.max(1) as f64 / f64::from(priority.max(1))
}

/// Whether a job of the same account stands before the one at `index`.
fn ahead_in_line(account: &Account, waiting: &Waiting, index: usize) -> bool {
    account.jobs.iter().take(index).any(|before| before.job == waiting.job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORK: u64 = 1000;

    fn waiting(job: JobNumber) -> Waiting {
        Waiting { job, model: "demo".to_owned(), work: WORK, needs_checker: false }
    }

    fn order(pool: &mut Pool) -> Vec<(String, JobNumber)> {
        std::iter::from_fn(|| pool.take(|_| true).map(|(id, waiting)| (id, waiting.job))).collect()
    }

    #[test]
    fn one_account_s_flood_delays_itself_alone() {
        let mut pool = Pool::default();
        for job in 0..100 {
            pool.offer("flood", 1, waiting(job));
        }
        for job in 0..10 {
            assert_eq!(pool.take(|_| true), Some(("flood".to_owned(), waiting(job))));
        }
        pool.offer("guest", 1, waiting(0));
        let order = order(&mut pool);
        let position = order.iter().position(|(id, _)| id == "guest").unwrap();
        assert!(position <= 1, "the guest waited for {position} jobs");
        let flood: Vec<_> = order.iter().filter(|(id, _)| id == "flood").map(|&(_, job)| job).collect();
        assert!(flood.is_sorted(), "the order within an account is that of arrival");
        assert!(pool.is_empty());
    }

    #[test]
    fn a_busy_pool_is_shared_by_priority() {
        let mut pool = Pool::default();
        for job in 0..300 {
            pool.offer("basic", 1, waiting(job));
            pool.offer("premium", 3, waiting(job));
        }
        let taken: Vec<_> = (0..200).filter_map(|_| pool.take(|_| true)).collect();
        let premium = taken.iter().filter(|(id, _)| id == "premium").count();
        assert!((148..=152).contains(&premium), "{premium}");
    }

    #[test]
    fn away_gives_no_credit_and_coming_back_does_not_jump_the_line() {
        let mut pool = Pool::default();
        for job in 0..50 {
            pool.offer("steady", 1, waiting(job));
        }
        for _ in 0..30 {
            pool.take(|_| true);
        }
        for job in 0..50 {
            pool.offer("late", 1, waiting(job));
        }
        let first: Vec<_> = (0..20).filter_map(|_| pool.take(|_| true)).collect();
        let late = first.iter().filter(|(id, _)| id == "late").count();
        assert!((9..=11).contains(&late), "{late}");

        // One job at a time, offered again as soon as it was taken, is no way around the others either.
        let mut pool = Pool::default();
        for job in 0..50 {
            pool.offer("steady", 1, waiting(job));
        }
        let mut quick = 0;
        for job in 0..40 {
            pool.offer("quick", 1, waiting(job));
            quick += u32::from(pool.take(|_| true).is_some_and(|(id, _)| id == "quick"));
        }
        assert!((19..=21).contains(&quick), "{quick}");
    }

    #[test]
    fn a_node_takes_only_what_it_can_do_and_a_cancelled_job_is_gone() {
        let mut pool = Pool::default();
        pool.offer("a", 1, Waiting { model: "large".to_owned(), ..waiting(1) });
        pool.offer("a", 1, waiting(2));
        pool.offer("a", 1, waiting(2));
        assert_eq!(pool.len(), 2, "the same job is not there twice");
        assert_eq!(pool.take(|waiting| waiting.model == "demo").map(|(_, waiting)| waiting.job), Some(2));
        assert_eq!(pool.take(|waiting| waiting.model == "demo"), None);
        assert!(pool.remove("a", 1) && !pool.remove("a", 1) && !pool.remove("b", 1));
        assert!(pool.is_empty());
    }

    #[test]
    fn an_eta_follows_what_was_measured() {
        let mut pool = Pool::default();
        assert!((pool.seconds("demo", 512 * 512 * 20) - 10.0).abs() < 1e-9);
        for _ in 0..60 {
            pool.measured("demo", WORK, Millis(2000));
            pool.measured("demo", 3 * WORK, Millis(4000));
        }
        assert!((pool.seconds("demo", WORK) - 2.0).abs() < 1e-6, "{}", pool.seconds("demo", WORK));
        assert!((pool.seconds("demo", 10 * WORK) - 11.0).abs() < 1e-6, "{}", pool.seconds("demo", 10 * WORK));
        pool.measured("other", WORK, Millis(500));
        assert!((pool.seconds("other", 2 * WORK) - 1.0).abs() < 1e-9, "one measurement is a line through the origin");
        for job in 0..4 {
            pool.offer("a", 1, waiting(job));
            pool.offer("b", 1, waiting(job));
        }
        let one = pool.seconds("demo", WORK);
        let place = pool.place("a", 0, 1).unwrap();
        assert_eq!(place.ahead, 0);
        assert!((place.eta - one).abs() < 1e-9);
        let place = pool.place("b", 3, 2).unwrap();
        assert_eq!(place.ahead, 7);
        assert!((place.eta - 4.5 * one).abs() < 1e-6);
        assert_eq!(pool.place("c", 0, 1), None);
    }

    proptest! {
        /// Every job comes out once, and in the place that was foretold.
        #[test]
        fn places_come_true(jobs in prop::collection::vec((0_usize..4, 1_u64..50, 1_u32..4), 1..40)) {
            let mut pool = Pool::default();
            for (number, &(account, work, _)) in (0..).zip(&jobs) {
                let priority = jobs.iter().find(|job| job.0 == account).map_or(1, |job| job.2);
                pool.offer(&account.to_string(), priority, Waiting { work, ..waiting(number) });
            }
            let foretold: BTreeMap<JobNumber, usize> = (0..)
                .zip(&jobs)
                .map(|(number, &(account, ..))| (number, pool.place(&account.to_string(), number, 1).unwrap().ahead))
                .collect();
            let order = order(&mut pool);
            prop_assert_eq!(order.len(), jobs.len());
            for (position, (_, job)) in order.into_iter().enumerate() {
                prop_assert_eq!(foretold.get(&job), Some(&position));
            }
        }
    }
}
