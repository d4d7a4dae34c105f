//! API keys as their owner sees them.

use super::word;
use crate::{
    body::Fields,
    fields::{FieldError, FieldProblem, Reader},
};
use serde::{Deserialize, Serialize};

/// What a key may be used for at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum KeyKind {
    /// Everything that its scopes allow; stays on a server.
    Secret,
    /// Pictures alone, from pages of its origins, a few a day; may be seen by anyone.
    Publishable,
}

/// A part of what keys can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scope {
    /// Make, fetch, cancel and delete pictures.
    Images,
    /// Usage, keys, webhooks, export, deletion of the account.
    Account,
}

/// A key, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Key {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(example = "key_1"))]
    pub id: String,
    /// What it may be used for at all.
    pub kind: KeyKind,
    /// Its first characters, which tell it from others.
    #[cfg_attr(feature = "openapi", schema(example = "sk_live_ab12"))]
    pub shown: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// Pages that may use it; of publishable keys alone.
    pub origins: Vec<String>,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created_at: String,
    /// When it was used last.
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    pub last_used_at: Option<String>,
}

/// The keys of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyList {
    /// Those that are valid.
    pub keys: Vec<Key>,
}

/// A key that was just made; the only answer that has it in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyCreated {
    /// What is kept of it.
    #[serde(flatten)]
    pub about: Key,
    /// The key in full, shown this once.
    #[cfg_attr(feature = "openapi", schema(example = "sk_live_…"))]
    pub key: String,
}

/// Asks for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it may be used for at all.
    pub kind: KeyKind,
    /// What its owner calls it.
    #[serde(default)]
    pub name: String,
    /// What it is for; everything that its kind allows when nothing is said.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Pages that may use it, as `https://example.com`; a publishable key needs one, a secret key has none.
    #[serde(default)]
    pub origins: Vec<String>,
}

impl NewKey {
    /// Longest name in characters.
    pub const MAX_NAME: usize = 100;
    /// Most origins.
    pub const MAX_ORIGINS: usize = 20;

    /// Reads `POST /v1/keys`.
    ///
    /// # Errors
    /// Every field that cannot be used, and every one that there is not.
    pub fn read(fields: &Fields) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::strict(fields);
        let kind = kind(&mut reader);
        let name = reader.text(&["name"]).unwrap_or_default();
        if name.chars().count() > Self::MAX_NAME {
            reader.refuse("name", FieldProblem::Other(format!("must have {} characters at most", Self::MAX_NAME)));
        }
        let scopes = scopes(&mut reader, kind);
        let origins = origins(&mut reader, kind);
        reader.finish()?;
        kind.map(|kind| Self { kind, name, scopes, origins }).ok_or_else(Vec::new)
    }
}

fn kind(reader: &mut Reader<'_>) -> Option<KeyKind> {
    let text = reader.required_text(&["kind"]);
    let kind = word(&text);
    if kind.is_none() && !text.is_empty() {
        reader.refuse("kind", FieldProblem::Unknown("secret, publishable".to_owned()));
    }
    kind
}

fn scopes(reader: &mut Reader<'_>, kind: Option<KeyKind>) -> Vec<Scope> {
    let is_publishable = kind == Some(KeyKind::Publishable);
    let words = reader.list(&["scopes"]);
    if words.is_empty() {
        return if is_publishable { vec![Scope::Images] } else { vec![Scope::Images, Scope::Account] };
    }
    let mut scopes: Vec<Scope> = Vec::new();
    for text in &words {
        match word(text) {
            Some(scope) if is_publishable && scope == Scope::Account => {
                let words = "must be images alone for a publishable key, which anyone can see".to_owned();
                reader.refuse("scopes", FieldProblem::Other(words));
            }
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => reader.refuse("scopes", FieldProblem::Unknown("images, account".to_owned())),
        }
    }
    scopes
}

fn origins(reader: &mut Reader<'_>, kind: Option<KeyKind>) -> Vec<String> {
    let origins = reader.list(&["origins"]);
    let problem = match kind {
        Some(KeyKind::Publishable) if origins.is_empty() => {
            Some("must name one page at least, as https://example.com".to_owned())
        }
        Some(KeyKind::Secret) if !origins.is_empty() => {
            Some("must be left out for a secret key, which no page may have".to_owned())
        }
        _ if origins.len() > NewKey::MAX_ORIGINS => Some(format!("must be {} at most", NewKey::MAX_ORIGINS)),
        _ => origins.iter().find(|origin| !is_origin(origin)).map(|origin| {
            let origin: String = origin.chars().take(40).collect();
            format!("must be origins as https://example.com or http://localhost:8080, which `{origin}` is not")
        }),
    };
    if let Some(problem) = problem {
        reader.refuse("origins", FieldProblem::Other(problem));
    }
    origins
}

/// Whether a text is an origin as browsers send it (RFC 6454, section 6.2): a scheme, a host in small letters and a port other
/// than the scheme's own.
fn is_origin(text: &str) -> bool {
    let (rest, usual) = if let Some(rest) = text.strip_prefix("https://") {
        (rest, "443")
    } else if let Some(rest) = text.strip_prefix("http://") {
        (rest, "80")
    } else {
        return false;
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_name = |host: &str| {
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        host.len() <= 253 && host.split('.').all(is_part)
    };
    let is_address = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok_and(|read| read.to_string() == *address))
    };
    let is_port =
        |port: &str| port != usual && port.parse::<u16>().is_ok_and(|read| read > 0 && read.to_string() == *port);
    (is_name(host) || is_address(host)) && port.is_none_or(is_port)
}
