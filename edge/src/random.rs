//! Random names and numbers.

use crate::error::{Failure, Result};
/// Fresh random bytes.
///
/// # Errors
/// [`Failure`] when the runtime has none.
pub fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::internal(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// A name that cannot be guessed: a prefix and 128 random bits in hex.
///
/// # Errors
/// As [`bytes`].
pub fn name(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}{}", hex(&bytes::<16>()?)))
}

/// A seed that every client's number type holds.
///
/// # Errors
/// As [`bytes`].
pub fn seed() -> Result<u32> {
    Ok(u32::from_le_bytes(bytes()?))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from(if four < 10 { b'0' + four } else { b'a' + four - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Hex as bytes; `None` where it is none.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
