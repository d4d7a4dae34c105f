//! API keys: what they look like, and what is kept of them.
//!
//! `sk_live_` or `pk_live_`, 160 bits of entropy in base 62, and a CRC-32 of all that in base 62, so that a mistyped or made-up
//! key is refused before anything is looked up, and a leaked one is found by its shape. The first 96 bits are the secret; the other
//! 64 say whose key it is, so that a request goes straight to its account's object, which alone knows its keys. Only the
//! SHA-256 is kept: with that much entropy, a slow hash would add nothing.

use sha2::{Digest as _, Sha256};
use std::fmt;
use thiserror::Error;

/// What a key may be used for at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Everything that its scopes allow; stays on a server.
    Secret,
    /// A few calls from pages of its origins; may be seen by anyone.
    Publishable,
}

impl KeyKind {
    const ALL: [Self; 2] = [Self::Secret, Self::Publishable];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "sk_live_",
            Self::Publishable => "pk_live_",
        }
    }
}

/// Bytes of entropy in a key: twelve that are secret, and the account's own eight.
pub const ENTROPY: usize = 20;
/// Bytes that say whose key it is.
pub const ACCOUNT: usize = 8;
/// Digits of base 62 that hold them: 62^27 > 2^160.
const ENTROPY_DIGITS: usize = 27;
/// Digits of base 62 that hold a CRC-32.
const CHECKSUM_DIGITS: usize = 6;
/// Characters of a key that may be shown to tell it from others, after its prefix.
const SHOWN: usize = 4;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key in full; printing it shows its kind alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    kind: KeyKind,
    text: String,
}

/// Why a text is no key of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It does not start like one.
    #[error("an API key starts with sk_live_ or pk_live_")]
    Prefix,
    /// It is too short or too long, or has other characters.
    #[error("an API key has 33 letters and digits after its prefix")]
    Shape,
    /// Its last six characters do not fit the rest.
    #[error("the API key is mistyped or cut off: its checksum is wrong")]
    Checksum,
}

/// What is kept of a key, and looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl ApiKey {
    /// A new key from fresh random bytes.
    pub fn new(kind: KeyKind, entropy: [u8; ENTROPY]) -> Self {
        let body = format!("{}{}", kind.prefix(), base62(&entropy, ENTROPY_DIGITS));
        let checksum = checksum(&body);
        Self { kind, text: body + &checksum }
    }

    /// Checks prefix, shape and checksum of what a client sent.
    ///
    /// # Errors
    /// [`KeyError`]; nothing was looked up for it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let kind = KeyKind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix())).ok_or(KeyError::Prefix)?;
        let digits = text.strip_prefix(kind.prefix()).unwrap_or_default();
        if digits.len() != ENTROPY_DIGITS + CHECKSUM_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(KeyError::Shape);
        }
        let (body, found) = text.split_at(text.len() - CHECKSUM_DIGITS);
        if checksum(body) != found {
            return Err(KeyError::Checksum);
        }
        // 27 digits can say more than 160 bits; no key of ours does.
        if entropy(digits).is_none() {
            return Err(KeyError::Shape);
        }
        Ok(Self { kind, text: text.to_owned() })
    }

    /// Whose it is.
    pub fn account(&self) -> [u8; ACCOUNT] {
        let digits = self.text.strip_prefix(self.kind.prefix()).unwrap_or_default();
        let mut account = [0; ACCOUNT];
        let entropy = entropy(digits).unwrap_or_default();
        for (byte, decoded) in account.iter_mut().zip(entropy.into_iter().skip(ENTROPY - ACCOUNT)) {
            *byte = decoded;
        }
        account
    }

    /// What it may be used for.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself, to be shown to its owner once.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.text.as_bytes()).into())
    }

    /// The beginning, by which its owner tells it from others.
    pub fn shown(&self) -> String {
        self.text.chars().take(self.kind.prefix().len() + SHOWN).collect()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}…)", self.kind.prefix())
    }
}

fn checksum(body: &str) -> String {
    base62(&crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// The bytes that a key's first digits stand for; `None` where they stand for more than there are.
fn entropy(digits: &str) -> Option<[u8; ENTROPY]> {
    let mut bytes = [0_u8; ENTROPY];
    for digit in digits.bytes().take(ENTROPY_DIGITS) {
        let mut carry = DIGITS.iter().position(|&known| known == digit)? as u32;
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

/// A big-endian number in base 62 with leading zeros.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text: Vec<u8> = (0..digits)
        .map(|_| {
            let rest = number.iter_mut().fold(0_u32, |rest, byte| {
                let value = rest << 8 | u32::from(*byte);
                *byte = (value / 62) as u8;
                value % 62
            });
            DIGITS.get(rest as usize).copied().unwrap_or(b'0')
        })
        .collect();
    text.reverse();
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base_62_is_what_it_says() {
        assert_eq!(base62(&[0; 4], 6), "000000");
        assert_eq!(base62(&[0, 0, 0, 61], 2), "0z");
        assert_eq!(base62(&[0, 0, 0, 62], 2), "10");
        assert_eq!(base62(&[0xff; 4], 6), "4gfFC3");
        assert_eq!(base62(&[0xff; ENTROPY], ENTROPY_DIGITS).len(), ENTROPY_DIGITS);
    }

    #[test]
    fn what_is_no_key_is_refused_for_a_reason() {
        let key = ApiKey::new(KeyKind::Secret, [7; ENTROPY]);
        let text = key.reveal();
        assert_eq!(text.len(), "sk_live_".len() + 33);
        assert_eq!(ApiKey::parse(""), Err(KeyError::Prefix));
        assert_eq!(ApiKey::parse(&text.to_uppercase()), Err(KeyError::Prefix));
        assert_eq!(ApiKey::parse(text.trim_end_matches(|_| true)), Err(KeyError::Prefix));
        assert_eq!(ApiKey::parse(&text[..text.len() - 1]), Err(KeyError::Shape));
        assert_eq!(ApiKey::parse(&format!("{text}0")), Err(KeyError::Shape));
        assert_eq!(ApiKey::parse(&text.replace(&text[20..21], "-")), Err(KeyError::Shape));
        assert_eq!(ApiKey::parse(&format!("pk{}", &text[2..])), Err(KeyError::Checksum));
    }

    #[test]
    fn a_printed_key_is_not_the_key() {
        let key = ApiKey::new(KeyKind::Publishable, [9; ENTROPY]);
        assert_eq!(format!("{key:?}"), "ApiKey(pk_live_…)");
        assert_eq!(key.shown().len(), 12);
        assert!(!key.hash().to_string().contains(&key.reveal()[8..]));
    }

    proptest! {
        #[test]
        fn keys_read_back_and_no_single_character_may_change(entropy: [u8; ENTROPY], at in 0_usize..33, digit in 0_usize..62) {
            let key = ApiKey::new(KeyKind::Secret, entropy);
            prop_assert_eq!(ApiKey::parse(key.reveal()), Ok(key.clone()));
            prop_assert_eq!(&key.account()[..], &entropy[ENTROPY - ACCOUNT..]);
            let mut text = key.reveal().to_owned().into_bytes();
            text[8 + at] = DIGITS[digit];
            let text = String::from_utf8(text).unwrap();
            if text != key.reveal() {
                prop_assert_eq!(ApiKey::parse(&text), Err(KeyError::Checksum));
            }
        }

        #[test]
        fn anything_may_be_sent(text: String) {
            let _ = ApiKey::parse(&text);
            let _ = ApiKey::parse(&format!("sk_live_{text}"));
        }
    }
}
