//! An exact sliding window, and the filter for requests that are sent again and again.
//!
//! The log is part of the account's state and is written with what it admits, so that a crash admits nothing twice. A window
//! that is approximated from two counters would misjudge; 150 times of eight bytes are cheap enough not to.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many requests in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Requests that a window admits.
    pub requests: u32,
    /// Length of the window.
    pub window: Millis,
}

/// Times of admitted requests, oldest first; never more than a window admits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log(VecDeque<Millis>);

/// What is decided on a request, and what its answer's `RateLimit` fields say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on; it is in the log then.
    pub admitted: bool,
    /// How many more would be admitted right now.
    pub remaining: u32,
    /// How long until one more is admitted, nothing when one is now.
    pub retry_after: Millis,
}

impl Log {
    /// Decides on a request at `now`, and notes it if it is admitted.
    ///
    /// Any window of the limit's length that ends at an admitted request holds at most `limit.requests`. A request exactly one
    /// window after another is not in its window any more. Where the clock went back, time stands still until it has caught up.
    pub fn admit(&mut self, limit: Limit, now: Millis) -> Decision {
        let now = self.0.back().copied().unwrap_or_default().max(now);
        while self.0.front().is_some_and(|&oldest| now.since(oldest) >= limit.window) {
            self.0.pop_front();
        }
        let admitted = self.0.len() < limit.requests as usize;
        if admitted {
            self.0.push_back(now);
        }
        let remaining = (limit.requests as usize).saturating_sub(self.0.len());
        // After a limit was lowered, more than one of the oldest has to leave first.
        let blocking = (self.0.len() + 1).saturating_sub(limit.requests as usize);
        let free_at = blocking.checked_sub(1).and_then(|index| self.0.get(index)).map(|&oldest| oldest + limit.window);
        Decision {
            admitted,
            remaining: remaining as u32,
            retry_after: if limit.requests == 0 { limit.window } else { free_at.map_or(Millis(0), |at| at.since(now)) },
        }
    }
}

/// How long an equal request is refused, as the older dialect's spam filter did.
pub const SAME_REQUEST: Millis = Millis::seconds(30);

/// Hashes of what was asked for in the last half minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentRequests(VecDeque<(Millis, u64)>);

impl RecentRequests {
    /// Requests that are kept; beyond, the oldest is forgotten early.
    const KEPT: usize = 512;

    /// Whether this hash of a body is new; it is kept then.
    pub fn is_new(&mut self, hash: u64, now: Millis) -> bool {
        let now = self.0.back().map_or(now, |&(last, _)| last.max(now));
        while self.0.front().is_some_and(|&(at, _)| now.since(at) >= SAME_REQUEST) {
            self.0.pop_front();
        }
        if self.0.iter().any(|&(_, kept)| kept == hash) {
            return false;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, hash));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Limit = Limit { requests: 3, window: Millis(100) };

    #[test]
    fn the_answer_says_when_to_come_back() {
        let mut log = Log::default();
        let at = |log: &mut Log, now| {
            let Decision { admitted, remaining, retry_after } = log.admit(LIMIT, Millis(now));
            (admitted, remaining, retry_after.0)
        };
        assert_eq!(at(&mut log, 1000), (true, 2, 0));
        assert_eq!(at(&mut log, 1010), (true, 1, 0));
        assert_eq!(at(&mut log, 1020), (true, 0, 80));
        assert_eq!(at(&mut log, 1030), (false, 0, 70));
        assert_eq!(at(&mut log, 1099), (false, 0, 1));
        assert_eq!(at(&mut log, 1100), (true, 0, 10));
        assert_eq!(at(&mut log, 50), (false, 0, 10), "the clock went back");
        assert_eq!(at(&mut log, 9999), (true, 2, 0));
    }

    #[test]
    fn a_lowered_limit_and_a_limit_of_nothing() {
        let mut log = Log::default();
        for now in [0, 10, 20] {
            assert!(log.admit(LIMIT, Millis(now)).admitted);
        }
        let lowered = Limit { requests: 1, ..LIMIT };
        let decision = log.admit(lowered, Millis(30));
        assert_eq!((decision.admitted, decision.retry_after), (false, Millis(90)));
        assert!(log.admit(lowered, Millis(120)).admitted);
        let none = Log::default().admit(Limit { requests: 0, ..LIMIT }, Millis(5));
        assert_eq!((none.admitted, none.retry_after), (false, LIMIT.window));
    }

    #[test]
    fn an_equal_request_is_new_again_after_half_a_minute() {
        let mut recent = RecentRequests::default();
        assert!(recent.is_new(1, Millis::seconds(0)));
        assert!(recent.is_new(2, Millis::seconds(1)));
        assert!(!recent.is_new(1, Millis(29_999)));
        assert!(recent.is_new(1, Millis(30_000)));
        for hash in 0..2000 {
            recent.is_new(hash + 10, Millis(40_000));
        }
        assert!(recent.0.len() <= RecentRequests::KEPT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Against an oracle that remembers everything.
        #[test]
        fn no_window_holds_more_and_none_is_refused_that_fits(
            gaps in prop::collection::vec(0_u64..60, 1..300),
            requests in 1_u32..20,
            window in 1_u64..400,
        ) {
            let limit = Limit { requests, window: Millis(window) };
            let (mut log, mut admitted, mut now) = (Log::default(), Vec::<u64>::new(), 1_000_u64);
            for gap in gaps {
                now += gap;
                let inside = admitted.iter().filter(|&&at| now - at < window).count();
                let decision = log.admit(limit, Millis(now));
                prop_assert_eq!(decision.admitted, inside < requests as usize);
                if decision.admitted {
                    admitted.push(now);
                } else {
                    let then = now + decision.retry_after.0;
                    let fits = |now: u64| admitted.iter().filter(|&&at| now - at < window).count() < requests as usize;
                    prop_assert!(fits(then) && !fits(then - 1), "waiting exactly that long is enough");
                }
            }
        }
    }
}
