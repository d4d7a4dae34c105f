//! Webhooks by Standard Webhooks 1.0 (<https://www.standardwebhooks.com>): how they are signed, and when they are tried again.

use crate::clock::Millis;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;

/// Waits before the tries of one delivery; 75 hours together.
pub const SCHEDULE: [Millis; 10] = [
    Millis::seconds(0),
    Millis::seconds(5),
    Millis::seconds(5 * 60),
    Millis::seconds(30 * 60),
    Millis::seconds(2 * 3600),
    Millis::seconds(5 * 3600),
    Millis::seconds(10 * 3600),
    Millis::seconds(14 * 3600),
    Millis::seconds(20 * 3600),
    Millis::seconds(24 * 3600),
];

/// How long a receiver may take to answer.
pub const TIMEOUT: Millis = Millis::seconds(30);

/// Deliveries that are under way to one host at a time, so that nobody is flooded through us.
pub const AT_ONCE_PER_HOST: usize = 2;

/// A receiver's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 24]);

impl Secret {
    /// From fresh random bytes, as many as the specification asks for at least.
    pub const fn new(bytes: [u8; 24]) -> Self {
        Self(bytes)
    }

    /// The form that receivers' libraries take, shown once.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The three header fields of a delivery. `id` stays the same over all tries; `secrets` are the current one and, while it is
/// replaced, the one before.
pub fn headers(id: &str, timestamp: u64, body: &[u8], secrets: &[Secret]) -> [(&'static str, String); 3] {
    let signatures: Vec<String> = secrets.iter().map(|secret| signature(id, timestamp, body, secret)).collect();
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}

fn signature(id: &str, timestamp: u64, body: &[u8], secret: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// What a try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver answered with this status; redirects are not followed.
    Answered(u16),
    /// It could not be reached, or took too long.
    Unreachable,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Delivered,
    /// It is tried again after this long.
    Retry(Millis),
    /// The receiver is gone (410), and gets nothing more.
    Disable,
    /// Every try failed; it can be sent again by hand.
    GiveUp,
}

/// Decides after try number `attempt`, from 0. `jitter`, 0 to 1, spreads retries over a tenth of the wait in either direction.
pub fn next(attempt: usize, outcome: Attempt, jitter: f64) -> Next {
    match outcome {
        Attempt::Answered(200..=299) => return Next::Delivered,
        Attempt::Answered(410) => return Next::Disable,
        Attempt::Answered(_) | Attempt::Unreachable => {}
    }
    SCHEDULE.get(attempt + 1).map_or(Next::GiveUp, |wait| {
        let factor = 0.9 + 0.2 * jitter.clamp(0.0, 1.0);
        Next::Retry(Millis((wait.0 as f64 * factor) as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap()).unwrap();
        Secret::new(bytes.try_into().unwrap())
    }

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_s_libraries_do() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let [_, _, (_, signature)] =
            headers(id, 1_614_265_330, br#"{"test": 2432232314}"#, std::slice::from_ref(&secret));
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(secret.reveal(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let secrets = [Secret::new([1; 24]), Secret::new([2; 24])];
        let [_, (_, timestamp), (_, both)] = headers("msg_1", 7, b"{}", &secrets);
        let alone = |secret: &Secret| signature("msg_1", 7, b"{}", secret);
        assert_eq!(timestamp, "7");
        assert_eq!(both, format!("{} {}", alone(&secrets[0]), alone(&secrets[1])));
    }

    #[test]
    fn tries_for_three_days_and_stops_where_it_is_not_wanted() {
        let hours: u64 = SCHEDULE.iter().map(|wait| wait.0).sum::<u64>() / 3_600_000;
        assert_eq!(hours, 75);
        assert_eq!(next(0, Attempt::Answered(204), 0.5), Next::Delivered);
        assert_eq!(next(3, Attempt::Answered(410), 0.5), Next::Disable);
        for outcome in [Attempt::Answered(301), Attempt::Answered(429), Attempt::Answered(500), Attempt::Unreachable] {
            assert_eq!(next(0, outcome, 0.5), Next::Retry(Millis::seconds(5)));
            assert_eq!(next(9, outcome, 0.5), Next::GiveUp);
        }
        for jitter in [0.0, 0.3, 1.0, f64::INFINITY] {
            let Next::Retry(wait) = next(1, Attempt::Unreachable, jitter) else { panic!("it is tried again") };
            assert!((270_000..=330_000).contains(&wait.0), "{wait:?}");
        }
    }
}
