//! The world: its clock, its network, and what must hold in it.

use super::{
    Rule, Summary, Violation,
    account::{Accepted, Account},
    node::{Node, Work},
    random::Random,
};
use crate::{
    clock::Millis,
    job::{Epoch, Outcome, State},
    ledger::JobNumber,
    pool::Pool,
};
use std::collections::{BTreeMap, BTreeSet};

const ACCOUNTS: usize = 4;
const NODES: usize = 3;
const TICK: Millis = Millis(1000);
/// Attempts of a client whose answer was lost.
const CLIENT_TRIES: u32 = 8;

/// Something under way; it arrives at its time, perhaps more than once.
#[derive(Debug, Clone, Copy)]
enum Message {
    /// A client's request, with the number of its try.
    Ask { account: usize, key: u64, attempt: u32 },
    /// A node's news.
    Finish { node: usize, work: Work, outcome: Outcome },
    /// A sign of life.
    Heartbeat { node: usize, work: Work },
    /// The owner takes a job back.
    Cancel { account: usize, job: JobNumber },
}

/// What a client knows.
#[derive(Debug, Default)]
struct Client {
    /// Jobs by the key that it asked under.
    jobs: BTreeMap<u64, JobNumber>,
    /// How far each was when it last looked.
    seen: BTreeMap<JobNumber, u8>,
}

pub struct World {
    seed: u64,
    random: Random,
    now: Millis,
    faulty: bool,
    next_key: u64,
    accounts: Vec<Account>,
    clients: Vec<Client>,
    nodes: Vec<Node>,
    pool: Pool,
    messages: BTreeMap<(Millis, u64), Message>,
    sent: u64,
    /// Pictures in the store: account, job, lease, number.
    store: BTreeSet<(usize, JobNumber, Epoch, u32)>,
    summary: Summary,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut accounts: Vec<Account> = (0..ACCOUNTS).map(|_| Account::default()).collect();
        for account in &mut accounts {
            // Few enough that some requests are refused.
            account.ledger.grant(60).unwrap_or_else(|_| unreachable!("60 can be counted"));
        }
        Self {
            seed,
            random: Random::new(seed),
            now: Millis(0),
            faulty: true,
            next_key: 0,
            accounts,
            clients: (0..ACCOUNTS).map(|_| Client::default()).collect(),
            nodes: vec![Node::default(); NODES],
            pool: Pool::default(),
            messages: BTreeMap::new(),
            sent: 0,
            store: BTreeSet::new(),
            summary: Summary::default(),
        }
    }

    /// Lets time pass, with faults or without.
    pub fn run_until(&mut self, end: Millis, faulty: bool) -> Result<(), Violation> {
        self.faulty = faulty;
        while self.now < end {
            self.now = self.now + TICK;
            self.arrive()?;
            self.clients_act();
            self.nodes_act();
            if self.now.0.is_multiple_of(5000) {
                self.alarms()?;
            }
            if faulty && self.random.chance(4) {
                // The dispatcher forgets everything; accounts' alarms are what brings it back.
                self.pool = Pool::default();
                self.summary.pool_losses += 1;
            }
            if self.now.0.is_multiple_of(5000) {
                self.look()?;
            }
        }
        Ok(())
    }

    fn violation(&self, rule: Rule, what: impl Into<String>) -> Violation {
        Violation { seed: self.seed, at: self.now, rule, what: what.into() }
    }

    /// Sends a message, which the network may lose, double and delay.
    fn send(&mut self, message: Message) {
        let copies = match self.faulty {
            true if self.random.chance(100) => 0,
            true if self.random.chance(100) => 2,
            _ => 1,
        };
        self.summary.lost += u64::from(copies == 0);
        for _ in 0..copies {
            let late = self.faulty && self.random.chance(50);
            let delay = if late { self.random.below(120_000) } else { self.random.below(300) };
            self.sent += 1;
            self.messages.insert((self.now + Millis(delay), self.sent), message);
        }
    }

    fn arrive(&mut self) -> Result<(), Violation> {
        while let Some(entry) = self.messages.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            match entry.remove() {
                Message::Ask { account, key, attempt } => self.ask(account, key, attempt)?,
                Message::Finish { node, work, outcome } => self.finish(node, work, outcome)?,
                Message::Heartbeat { node, work } => self.heartbeat(node, work),
                Message::Cancel { account, job } => {
                    let cancelled = self.accounts[account].cancel(job);
                    self.pool.remove(&account.to_string(), job);
                    cancelled.map_err(|rule| self.violation(rule, format!("job {job} cancelled")))?;
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, account: usize, key: u64, attempt: u32) -> Result<(), Violation> {
        let pictures = 1 + (key % 3) as u32;
        let accepted =
            self.accounts[account].accept(key, u64::from(pictures), pictures, 1000 * u64::from(pictures), self.now);
        let number = match accepted {
            Accepted::New(number) => {
                self.summary.accepted += 1;
                number
            }
            Accepted::Replayed(number) => {
                self.summary.replayed += 1;
                number
            }
            Accepted::Refused => return Ok(()),
        };
        // The answer may be lost as well; the client asks again under the same key.
        if self.faulty && self.random.chance(150) && attempt < CLIENT_TRIES {
            self.send(Message::Ask { account, key, attempt: attempt + 1 });
            return Ok(());
        }
        let known = *self.clients[account].jobs.entry(key).or_insert(number);
        if known == number {
            Ok(())
        } else {
            Err(self.violation(Rule::OneJobARequest, format!("request {key} is job {known} and job {number}")))
        }
    }

    fn finish(&mut self, node: usize, work: Work, outcome: Outcome) -> Result<(), Violation> {
        let Work { account, job, epoch, .. } = work;
        let taken = self.accounts[account]
            .finish(job, epoch, outcome)
            .map_err(|rule| self.violation(rule, format!("job {job} finished under lease {epoch}")))?;
        if !taken {
            self.summary.stale += 1;
            // What was stored under a lease that is over is thrown away, unless it is the one that won.
            if self.accounts[account].rows.get(&job).is_none_or(|row| row.won != Some(epoch)) {
                self.discard(account, job, epoch);
            }
        }
        // Either way the node is told, and is free.
        let node = &mut self.nodes[node];
        if node.work.is_some_and(|current| current.epoch == epoch && current.job == job && current.account == account) {
            node.work = None;
        }
        Ok(())
    }

    fn heartbeat(&mut self, node: usize, work: Work) {
        let goes_on = self.accounts[work.account].heartbeat(work.job, work.epoch, self.now);
        let node = &mut self.nodes[node];
        if !goes_on
            && node
                .work
                .is_some_and(|current| current.epoch == work.epoch && current.job == work.job && !current.is_stored)
        {
            node.work = None;
        }
    }

    fn discard(&mut self, account: usize, job: JobNumber, epoch: Epoch) {
        self.store.retain(|&(owner, number, lease, _)| (owner, number, lease) != (account, job, epoch));
    }

    fn clients_act(&mut self) {
        for account in 0..ACCOUNTS {
            if self.faulty && self.random.chance(16) {
                self.next_key += 1;
                let key = self.next_key;
                self.send(Message::Ask { account, key, attempt: 0 });
            }
            if self.faulty && self.random.chance(2) && !self.accounts[account].rows.is_empty() {
                let job = 1 + self.random.below(self.accounts[account].rows.len() as u64);
                self.send(Message::Cancel { account, job });
            }
        }
    }

    fn nodes_act(&mut self) {
        for index in 0..NODES {
            if self.faulty && self.random.chance(6) {
                // Stopped with its work in hand, longer or shorter than a lease; it goes on later as if nothing had been.
                self.nodes[index].silent_until = self.now + Millis(self.random.below(90_000));
            }
            if self.faulty && self.random.chance(4) {
                self.nodes[index] = Node { work: None, silent_until: self.now + Millis::seconds(5) };
            }
            if self.nodes[index].silent_until <= self.now {
                match self.nodes[index].work {
                    None => self.take_work(index),
                    Some(work) => self.go_on(index, work),
                }
            }
        }
    }

    fn take_work(&mut self, index: usize) {
        let Some((id, waiting)) = self.pool.take(|_| true) else { return };
        let Ok(account) = id.parse::<usize>() else { return };
        let Some(epoch) = self.accounts[account].lease(waiting.job, self.now) else { return };
        // The lease was given; whether the node hears of it is another matter.
        if self.faulty && self.random.chance(50) {
            self.summary.lost += 1;
            return;
        }
        let done_at = self.now + Millis(2000 + self.random.below(20_000));
        let is_poison = waiting.job.is_multiple_of(17);
        self.nodes[index].work = Some(Work { account, job: waiting.job, epoch, done_at, is_stored: false, is_poison });
    }

    fn go_on(&mut self, index: usize, mut work: Work) {
        if self.now < work.done_at {
            if self.now.0.is_multiple_of(5000) {
                self.send(Message::Heartbeat { node: index, work });
            }
            return;
        }
        if work.is_poison || self.faulty && self.random.chance(20) {
            let outcome = if self.random.chance(300) { Outcome::HandedBack } else { Outcome::Broken };
            let outcome = if work.is_poison { Outcome::Broken } else { outcome };
            self.send(Message::Finish { node: index, work, outcome });
            self.nodes[index].work = None;
            return;
        }
        if !work.is_stored {
            let pictures = self.accounts[work.account].rows.get(&work.job).map_or(0, |row| row.pictures);
            for picture in 0..pictures {
                self.store.insert((work.account, work.job, work.epoch, picture));
            }
            work.is_stored = true;
            self.nodes[index].work = Some(work);
        }
        // Said again until it is answered.
        if self.now.0.is_multiple_of(2000) {
            self.send(Message::Finish { node: index, work, outcome: Outcome::Stored });
        }
    }

    fn alarms(&mut self) -> Result<(), Violation> {
        for account in 0..ACCOUNTS {
            let id = account.to_string();
            let owed = self.accounts[account].alarm(&id, &mut self.pool, self.now);
            let owed = owed.map_err(|rule| self.violation(rule, format!("alarm of account {account}")))?;
            for job in owed {
                let arrives = !(self.faulty && self.random.chance(300));
                if let Some(row) = self.accounts[account].rows.get_mut(&job) {
                    row.told += 1;
                    row.owed = !arrives;
                }
            }
        }
        self.sweep_store();
        Ok(())
    }

    /// Pictures of leases that can not win any more, whose nodes never came to be told so.
    fn sweep_store(&mut self) {
        let accounts = &self.accounts;
        self.store.retain(|&(account, job, epoch, _)| {
            accounts[account].rows.get(&job).is_some_and(|row| match row.job.state() {
                State::Succeeded => row.won == Some(epoch),
                State::Running { .. } => row.job.epoch() == epoch,
                State::Queued | State::Failed | State::Cancelled => false,
            })
        });
    }

    /// What must hold at every moment.
    fn look(&mut self) -> Result<(), Violation> {
        for account in 0..ACCOUNTS {
            if !self.accounts[account].is_balanced() {
                return Err(self.violation(Rule::CreditsBalance, format!("account {account}")));
            }
            let rows: Vec<(JobNumber, State, Option<Epoch>, u32)> = self.accounts[account]
                .rows
                .iter()
                .map(|(&number, row)| (number, row.job.state(), row.won, row.pictures))
                .collect();
            for (number, state, won, pictures) in rows {
                self.look_at(account, number, state, won, pictures)?;
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        account: usize,
        number: JobNumber,
        state: State,
        won: Option<Epoch>,
        pictures: u32,
    ) -> Result<(), Violation> {
        if state == State::Succeeded {
            let epoch = won.unwrap_or_default();
            let all = (0..pictures).all(|picture| self.store.contains(&(account, number, epoch, picture)));
            if !all {
                return Err(self.violation(Rule::SuccessHasPictures, format!("job {number} of account {account}")));
            }
        }
        // A client is told `processing` until a job is over; whether it waits or runs is not its business.
        let rank = match state {
            State::Queued | State::Running { .. } => 0,
            State::Succeeded => 1,
            State::Failed => 2,
            State::Cancelled => 3,
        };
        let before = self.clients[account].seen.insert(number, rank).unwrap_or(0);
        if before != 0 && before != rank {
            return Err(self.violation(Rule::NeverBackwards, format!("job {number}: {before} became {rank}")));
        }
        Ok(())
    }

    /// What must hold when nothing moves any more.
    pub fn check_at_rest(mut self) -> Result<Summary, Violation> {
        self.sweep_store();
        for account in 0..ACCOUNTS {
            for (&number, row) in &self.accounts[account].rows {
                let name = format!("job {number} of account {account}");
                match row.job.state() {
                    State::Succeeded => self.summary.succeeded += 1,
                    State::Failed | State::Cancelled => self.summary.refunded += 1,
                    state => return Err(self.violation(Rule::AcceptedEnds, format!("{name} is {state:?}"))),
                }
                if row.owed || row.told == 0 {
                    return Err(self.violation(Rule::EndIsTold, name));
                }
            }
        }
        let stray = self.store.iter().find(|&&(account, job, epoch, _)| {
            self.accounts[account].rows.get(&job).is_none_or(|row| row.won != Some(epoch))
        });
        match stray {
            Some(picture) => Err(self.violation(Rule::NoStrayPictures, format!("{picture:?}"))),
            None => Ok(self.summary),
        }
    }
}
