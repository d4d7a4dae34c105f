//! How long to wait before the next try.

use super::edge::CallError;
use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// Waits that double up to ten seconds, each shortened by up to a half at random so that nodes do not come back all at once.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait.
    pub fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(8)).min(LONGEST);
        self.tries += 1;
        // The keys that the system gives every hash map are random enough.
        let share = RandomState::new().hash_one(self.tries) as f64 / u64::MAX as f64;
        whole.mul_f64(1.0 - share / 2.0)
    }
}

/// Calls until it works, or is answered for good, or `is_alive` says that an answer would come too late.
pub async fn retry<T, F>(is_alive: impl Fn() -> bool, call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut call = call;
    let mut backoff = Backoff::default();
    loop {
        match call().await {
            Err(error) if error.is_passing() => {
                let wait = backoff.next();
                tokio::time::sleep(wait).await;
                if !is_alive() {
                    return Err(error);
                }
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_never_nothing() {
        let mut backoff = Backoff::default();
        for step in 0..40 {
            let whole = FIRST.saturating_mul(1 << step.min(8)).min(LONGEST);
            let wait = backoff.next();
            assert!(wait <= whole && wait >= whole / 2, "wait {step} is {wait:?}");
        }
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_an_answer_is_not() {
        let mut calls = 0;
        let made = retry(
            || true,
            || {
                calls += 1;
                std::future::ready(if calls < 2 { Err(CallError::Unreachable("cut")) } else { Ok(calls) })
            },
        );
        assert_eq!(made.await.ok(), Some(2));

        let mut calls = 0;
        let lost = retry(
            || true,
            || {
                calls += 1;
                std::future::ready(Err::<(), _>(CallError::Lost))
            },
        );
        assert!(matches!(lost.await, Err(CallError::Lost)));
        assert_eq!(calls, 1);

        let over = retry(|| false, || std::future::ready(Err::<(), _>(CallError::Unreachable("cut"))));
        assert!(matches!(over.await, Err(CallError::Unreachable(_))));
    }
}
