//! Links to pictures that work for whoever has them, until they expire.

use crate::clock::Millis;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use thiserror::Error;

/// A key that links are signed with, and its number; old ones verify until the links are gone.
#[derive(Clone)]
pub struct SigningKey {
    /// Its number, which stands in the link.
    pub id: u32,
    /// Random bytes.
    pub secret: [u8; 32],
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant<'a> {
    /// `GET` or `PUT`.
    pub method: &'a str,
    /// The path as it is asked for, without the query.
    pub path: &'a str,
    /// Whose object it is.
    pub tenant: &'a str,
    /// When it stops working.
    pub expires: Millis,
}

/// Why a link does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Its query is not one that was made here.
    #[error("the link is incomplete")]
    Malformed,
    /// It was not signed by a key of ours for this method, path, tenant and time.
    #[error("the link's signature does not fit")]
    Signature,
    /// It was good once.
    #[error("the link has expired")]
    Expired,
}

fn mac(key: &SigningKey, grant: Grant<'_>) -> Hmac<Sha256> {
    // A key of 32 bytes is never refused; HMAC takes any length (RFC 2104).
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.secret).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    let Grant { method, path, tenant, expires } = grant;
    // Lengths before the texts: no two grants give the same bytes.
    for part in [method, path, tenant] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.update(&expires.0.to_be_bytes());
    mac.update(&key.id.to_be_bytes());
    mac
}

/// The query of a link: `exp`, `kid` and `sig`.
pub fn sign(key: &SigningKey, grant: Grant<'_>) -> String {
    let signature = URL_SAFE_NO_PAD.encode(mac(key, grant).finalize().into_bytes());
    format!("exp={}&kid={}&sig={signature}", grant.expires.0, key.id)
}

/// Checks a link's query, which must be exactly what [`sign`] made; the signature is compared in constant time.
///
/// # Errors
/// [`LinkError`].
pub fn verify(
    keys: &[SigningKey],
    method: &str,
    path: &str,
    tenant: &str,
    query: &str,
    now: Millis,
) -> Result<(), LinkError> {
    let mut parts = query.split('&');
    let mut next = |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or(LinkError::Malformed);
    let expires = next("exp=")?;
    let id = next("kid=")?;
    let signature = next("sig=")?;
    if parts.next().is_some() {
        return Err(LinkError::Malformed);
    }
    let number = |text: &str| {
        let number: u64 = text.parse().map_err(|_| LinkError::Malformed)?;
        // One number, one spelling: no signs and no zeros before it.
        if number.to_string() == text { Ok(number) } else { Err(LinkError::Malformed) }
    };
    let (expires, id) = (Millis(number(expires)?), number(id)?);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| LinkError::Malformed)?;
    let key = keys.iter().find(|key| u64::from(key.id) == id).ok_or(LinkError::Signature)?;
    mac(key, Grant { method, path, tenant, expires }).verify_slice(&signature).map_err(|_| LinkError::Signature)?;
    if now < expires { Ok(()) } else { Err(LinkError::Expired) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Grant<'_> = Grant { method: "GET", path: "/i/a/1.png", tenant: "a", expires: Millis(5000) };

    fn key(id: u32) -> SigningKey {
        SigningKey { id, secret: [id as u8; 32] }
    }

    fn check(grant: Grant<'_>, query: &str, now: u64) -> Result<(), LinkError> {
        verify(&[key(1), key(2)], grant.method, grant.path, grant.tenant, query, Millis(now))
    }

    #[test]
    fn a_link_works_until_it_expires_and_for_what_it_was_made() {
        let query = sign(&key(2), GRANT);
        assert_eq!(check(GRANT, &query, 4999), Ok(()));
        assert_eq!(check(GRANT, &query, 5000), Err(LinkError::Expired));
        for other in [
            Grant { method: "PUT", ..GRANT },
            Grant { path: "/i/a/2.png", ..GRANT },
            Grant { tenant: "b", ..GRANT },
            Grant { path: "/i/", tenant: "a/1.pnga", ..GRANT },
        ] {
            assert_eq!(check(other, &query, 0), Err(LinkError::Signature), "{other:?}");
        }
        assert_eq!(check(GRANT, &query.replace("exp=5000", "exp=6000"), 0), Err(LinkError::Signature));
        assert_eq!(check(GRANT, &query.replace("kid=2", "kid=1"), 0), Err(LinkError::Signature));
        assert_eq!(check(GRANT, &sign(&key(3), GRANT), 0), Err(LinkError::Signature));
    }

    #[test]
    fn no_bit_of_a_link_may_change() {
        let query = sign(&key(1), GRANT);
        for at in 0..query.len() * 8 {
            let mut bytes = query.clone().into_bytes();
            bytes[at / 8] ^= 1 << (at % 8);
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(check(GRANT, &changed, 0).is_err(), "{changed}");
            }
        }
        for changed in [
            format!("{query}&x=1"),
            query.replace("exp=5000", "exp=05000"),
            query.replace("exp=", "exp=+"),
            String::new(),
        ] {
            assert_eq!(check(GRANT, &changed, 0), Err(LinkError::Malformed), "{changed}");
        }
    }

    #[test]
    fn a_printed_key_is_not_the_secret() {
        assert_eq!(format!("{:?}", key(7)), "SigningKey(7)");
    }
}
