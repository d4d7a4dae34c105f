//! A small world in which everything goes wrong: accounts, a pool, nodes, and a network that loses, doubles and delays.
//!
//! The real policy runs in it, driven as the Durable Objects drive it: what an account does in one call is one transaction, what
//! the pool knows may be lost at any moment, and every message may come late, twice or never. After a while the faults stop and
//! everything that was accepted must come to one good end. A run follows from its seed alone, so that a failure can be played
//! again.

mod account;
mod node;
mod random;
mod world;

use crate::clock::Millis;
use std::{fmt, ops::AddAssign};
use thiserror::Error;
use world::World;

/// How long things go wrong.
const FAULTS: Millis = Millis::seconds(1800);
/// How long the world has to come to rest afterwards: three leases, sweeps, and the retries of a client.
const REST: Millis = Millis::seconds(1800);

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("seed {seed}, second {second}: {rule}: {what}", second = at.0 / 1000)]
pub struct Violation {
    /// Plays the run again.
    pub seed: u64,
    /// When.
    pub at: Millis,
    /// Which invariant.
    pub rule: Rule,
    /// What was seen.
    pub what: String,
}

/// The invariants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// I2: what was granted is what is left, held and spent.
    CreditsBalance,
    /// I3: what was accepted ends.
    AcceptedEnds,
    /// I4: a price is booked once.
    BookedOnce,
    /// I5: success means that every picture is there, made under the lease that won.
    SuccessHasPictures,
    /// I6: no picture without a job that owns it.
    NoStrayPictures,
    /// I7: the end is told, under one number.
    EndIsTold,
    /// I8: what a client sees never goes back.
    NeverBackwards,
    /// I9: a request whose answer was lost and that is sent again is one job.
    OneJobARequest,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreditsBalance => "credits balance",
            Self::AcceptedEnds => "what was accepted ends",
            Self::BookedOnce => "a price is booked once",
            Self::SuccessHasPictures => "success has its pictures",
            Self::NoStrayPictures => "no stray pictures",
            Self::EndIsTold => "the end is told",
            Self::NeverBackwards => "never backwards",
            Self::OneJobARequest => "one job a request",
        })
    }
}

/// What a run saw, so that one in which nothing happened is not taken for one in which all went well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Jobs that were accepted.
    pub accepted: u64,
    /// Jobs that ended with pictures.
    pub succeeded: u64,
    /// Jobs that were given up or cancelled, and refunded.
    pub refunded: u64,
    /// Messages of nodes that had lost their lease.
    pub stale: u64,
    /// Requests that were answered from what was kept.
    pub replayed: u64,
    /// Messages that the network lost.
    pub lost: u64,
    /// Times that the pool forgot everything.
    pub pool_losses: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        let Self { accepted, succeeded, refunded, stale, replayed, lost, pool_losses } = other;
        self.accepted += accepted;
        self.succeeded += succeeded;
        self.refunded += refunded;
        self.stale += stale;
        self.replayed += replayed;
        self.lost += lost;
        self.pool_losses += pool_losses;
    }
}

/// Runs a world to its end.
///
/// # Errors
/// The first [`Violation`].
pub fn run(seed: u64) -> Result<Summary, Violation> {
    let mut world = World::new(seed);
    world.run_until(FAULTS, true)?;
    world.run_until(FAULTS + REST, false)?;
    world.check_at_rest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_worlds_come_to_a_good_end() {
        let mut total = Summary::default();
        for seed in 0..200 {
            total += run(seed).unwrap_or_else(|violation| panic!("{violation}"));
        }
        assert_eq!(total.accepted, total.succeeded + total.refunded);
        for (what, count) in [
            ("succeeded", total.succeeded),
            ("refunded", total.refunded),
            ("stale", total.stale),
            ("replayed", total.replayed),
            ("lost", total.lost),
            ("pool losses", total.pool_losses),
        ] {
            assert!(count > 200, "{what} hardly ever happened: {total:?}");
        }
    }

    #[test]
    fn a_seed_is_always_the_same_world() {
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
