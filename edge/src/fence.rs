//! The outer fence: a rough count of a client's requests, before an account is asked for anything.
//!
//! The exact limits are the account's. This one is for those that no account counts: without a key, with a key that is none, or
//! over their limit already. Who was let in by an account a moment ago is not counted twice.

use crate::{account::op::Denied, config, error::Failure, http::Call};
use api::v1::Code;
use std::{cell::RefCell, collections::HashMap};

/// How long an account's yes counts, in milliseconds.
const REMEMBERED: u64 = 10_000;
/// Keys that are remembered at a time.
const MOST: usize = 4_096;

thread_local! {
    /// Hashes of keys whose account let them in, and until when that is remembered.
    static WELCOME: RefCell<HashMap<String, u64>> = RefCell::default();
}

/// Whether a client may ask at all; lets through when it cannot count.
pub async fn opens(call: &Call) -> bool {
    let Ok(limiter) = call.env.rate_limiter("SHED") else { return true };
    limiter.limit(call.client()).await.map_or(true, |outcome| outcome.success)
}

/// The same for somebody who shows a key with this hash.
pub async fn lets_in(call: &Call, key: &str) -> bool {
    let now = config::now().0;
    let is_welcome = WELCOME.with_borrow(|welcome| welcome.get(key).is_some_and(|until| now < *until));
    is_welcome || opens(call).await
}

/// Notes what its account answered to a key.
pub fn note(key: &str, denied: Option<&Denied>) {
    let is_refused = matches!(denied, Some(Denied::Unauthenticated | Denied::RateLimited | Denied::Suspended(_)));
    WELCOME.with_borrow_mut(|welcome| {
        let now = config::now().0;
        if is_refused {
            welcome.remove(key);
            return;
        }
        if welcome.len() >= MOST {
            welcome.retain(|_, until| now < *until);
        }
        if welcome.len() < MOST {
            welcome.insert(key.to_owned(), now + REMEMBERED);
        }
    });
}

/// What is said to those that it keeps out.
pub fn closed() -> Failure {
    Failure::new(Code::Unavailable, "too much at once; try again in a few seconds")
}
