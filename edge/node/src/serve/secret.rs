//! What must never be printed.

use anyhow::{Context as _, Result};
use hyper::header::HeaderValue;
use std::{convert::Infallible, fmt, str::FromStr};

/// The node token; it prints as `[redacted]`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The `Authorization` header that carries it, marked so that no client prints it either.
    pub fn authorization(&self) -> Result<HeaderValue> {
        // The cause is dropped, since it could quote the token.
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0))
            .ok()
            .filter(|_| !self.0.is_empty())
            .context("the node token is empty or has characters that no header can carry")?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl FromStr for Token {
    type Err = Infallible;

    /// Takes anything: a command line that refuses a value also prints it.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_token_nor_its_header_prints() {
        let Ok(token) = "planted-token".parse::<Token>();
        assert_eq!(format!("{token:?}"), "[redacted]");
        let header = token.authorization().unwrap();
        assert_eq!(header, "Bearer planted-token");
        assert!(!format!("{header:?}").contains("planted"));
        for bad in ["", "a\nb"] {
            let Ok(token) = bad.parse::<Token>();
            assert!(token.authorization().is_err());
        }
    }
}
