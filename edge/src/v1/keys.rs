//! `/v1/keys`.

use crate::{
    account::op::{self, KeyRecord, Op},
    error::Result,
    http::{self, Call, Presented},
    random,
};
use api::v1::{Key, KeyCreated, KeyKind, KeyList, NewKey, Scope, rfc3339};
use gateway::api_key::{self, ACCOUNT, ApiKey, ENTROPY};
use worker::Response;

/// A key, as it is listed.
pub fn shown(record: KeyRecord) -> Key {
    let scopes = record.key.scopes.iter().map(|scope| match scope.as_str() {
        "account" => Scope::Account,
        _ => Scope::Images,
    });
    Key {
        kind: if record.key.is_publishable { KeyKind::Publishable } else { KeyKind::Secret },
        scopes: scopes.collect(),
        id: record.key.id,
        shown: record.key.shown,
        name: record.key.name,
        origins: record.key.origins,
        created_at: rfc3339(record.created),
        last_used_at: record.last_used.map(rfc3339),
    }
}

/// A fresh key of an account.
///
/// # Errors
/// There are no random bytes.
pub fn fresh(account: [u8; ACCOUNT], is_publishable: bool) -> Result<ApiKey> {
    let mut entropy: [u8; ENTROPY] = random::bytes()?;
    entropy.split_at_mut(ENTROPY - ACCOUNT).1.copy_from_slice(&account);
    let kind = if is_publishable { api_key::KeyKind::Publishable } else { api_key::KeyKind::Secret };
    Ok(ApiKey::new(kind, entropy))
}

/// Every key of the account.
pub async fn list(call: &Call, who: &Presented) -> Result<Response> {
    let records: Vec<KeyRecord> = call.ask(who, Op::Keys).await?;
    http::json(200, &KeyList { keys: records.into_iter().map(shown).collect() })
}

/// Makes a key, and shows it this once.
pub async fn create(call: &Call, who: &Presented) -> Result<Response> {
    let (_, body) = call.body().await?;
    let NewKey { kind, name, scopes, origins } = NewKey::read(&body.fields)?;
    let is_publishable = kind == KeyKind::Publishable;
    let key = fresh(who.key.account(), is_publishable)?;
    let word = |scope: &Scope| if *scope == Scope::Account { "account" } else { "images" };
    let new = op::NewKey {
        id: random::name("key_")?,
        hash: key.hash().to_string(),
        shown: key.shown(),
        is_publishable,
        name,
        scopes: scopes.iter().map(|scope| word(scope).to_owned()).collect(),
        origins,
    };
    let record: KeyRecord = call.ask(who, Op::CreateKey(new)).await?;
    http::json(201, &KeyCreated { about: shown(record), key: key.reveal().to_owned() })
}

/// Gives a key another secret; the old one is dead before this is answered.
pub async fn rotate(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    let keys: Vec<KeyRecord> = call.ask(who, Op::Keys).await?;
    let is_publishable = keys.iter().any(|record| record.key.id == id && record.key.is_publishable);
    let key = fresh(who.key.account(), is_publishable)?;
    let op = Op::RotateKey { id: id.to_owned(), hash: key.hash().to_string(), shown: key.shown() };
    let record: KeyRecord = call.ask(who, op).await?;
    http::json(200, &KeyCreated { about: shown(record), key: key.reveal().to_owned() })
}

/// Deletes a key.
pub async fn delete(call: &Call, who: &Presented, id: &str) -> Result<Response> {
    call.ask::<()>(who, Op::DeleteKey { id: id.to_owned() }).await?;
    http::empty(204)
}
