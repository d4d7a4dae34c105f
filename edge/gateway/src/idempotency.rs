//! Requests that are sent again because their answer was lost (the header `Idempotency-Key`).
//!
//! The answer is kept with the key in the transaction that accepts the job, so there is no moment at which one is there without
//! the other. Refusals are not kept: what was refused has done nothing, and may be right the next time.

use crate::clock::Millis;
use thiserror::Error;

/// How long an answer is kept.
pub const KEPT: Millis = Millis::seconds(24 * 3600);
/// Longest key in bytes.
pub const MAX_LENGTH: usize = 255;

/// Why a key is not usable, or not for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdempotencyError {
    /// It is empty, too long, or has characters that a header field may not have.
    #[error("an Idempotency-Key has 1 to 255 visible ASCII characters")]
    Key,
    /// It was used for another request.
    #[error("this Idempotency-Key was used for a different request; take a new one for a new request")]
    OtherRequest,
}

/// What was kept of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<A> {
    /// Hash of method, path and body.
    pub request: [u8; 32],
    /// When.
    pub at: Millis,
    /// Its answer, byte for byte.
    pub answer: A,
}

/// What is done with a request that has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay<'a, A> {
    /// It is new; its answer is kept.
    New,
    /// It was answered before, with this.
    Answer(&'a A),
}

/// Checks a key's characters.
///
/// # Errors
/// [`IdempotencyError::Key`].
pub fn check_key(key: &str) -> Result<(), IdempotencyError> {
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if (1..=MAX_LENGTH).contains(&key.len()) && is_visible { Ok(()) } else { Err(IdempotencyError::Key) }
}

/// Decides on a request by what was kept under its key.
///
/// # Errors
/// [`IdempotencyError::OtherRequest`].
pub fn replay<A>(kept: Option<&Kept<A>>, request: [u8; 32], now: Millis) -> Result<Replay<'_, A>, IdempotencyError> {
    match kept {
        Some(kept) if now.since(kept.at) < KEPT => {
            if kept.request == request {
                Ok(Replay::Answer(&kept.answer))
            } else {
                Err(IdempotencyError::OtherRequest)
            }
        }
        _ => Ok(Replay::New),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_long_the_same_request_has_the_same_answer() {
        let kept = Kept { request: [1; 32], at: Millis::seconds(100), answer: "202" };
        let at = |request: u8, seconds: u64| replay(Some(&kept), [request; 32], Millis::seconds(seconds));
        assert_eq!(at(1, 100), Ok(Replay::Answer(&"202")));
        assert_eq!(at(1, 86_499), Ok(Replay::Answer(&"202")));
        assert_eq!(at(2, 86_499), Err(IdempotencyError::OtherRequest));
        assert_eq!(at(2, 86_500), Ok(Replay::New));
        assert_eq!(at(1, 0), Ok(Replay::Answer(&"202")), "the clock went back");
        assert_eq!(replay::<&str>(None, [1; 32], Millis(0)), Ok(Replay::New));
    }

    #[test]
    fn keys_are_short_and_visible() {
        assert_eq!(check_key("8e03978e-40d5-43e8-bc93-6894a57f9324"), Ok(()));
        for key in ["", "a b", "a\n", "ключ", &"a".repeat(256)] {
            assert_eq!(check_key(key), Err(IdempotencyError::Key));
        }
    }
}
