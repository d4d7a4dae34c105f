//! What an installation decides: secrets and variables of the Worker, and the files of plans and blocked terms.

use crate::{
    error::{Failure, Result},
    random::unhex,
};
use gateway::{
    clock::Millis,
    moderation::{BlockedTerms, StrikePolicy},
    plan::{self, Plans},
    signed_url::SigningKey,
    url_policy::UrlPolicy,
};
use std::{cell::RefCell, rc::Rc};
use worker::Env;

/// Pictures are kept this long, in seconds, where the installation says nothing else.
const KEPT_SECONDS: u64 = 30 * 24 * 3600;
/// The same for what is kept for a day.
const KEPT_TEMPORARY_SECONDS: u64 = 24 * 3600;
/// A lease ends this long after a node's last word, in seconds, where the installation says nothing else.
const LEASE_SECONDS: u64 = 15;

thread_local! {
    static CONFIG: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
}

/// Read once an isolate.
#[derive(Debug)]
pub struct Config {
    /// Signs links.
    pub signing: SigningKey,
    /// What plans allow.
    pub plans: Plans,
    /// Words that are not drawn.
    pub blocked: BlockedTerms,
    /// When an account is suspended for asking for them.
    pub strikes: StrikePolicy,
    /// Addresses that pictures may be fetched from.
    pub pictures_from: UrlPolicy,
    /// Addresses that webhooks may go to.
    pub webhooks_to: UrlPolicy,
    /// Beginning of links, where it is not the request's own.
    pub public_url: Option<String>,
    /// Accounts that one client may open a day.
    pub sign_ups: u32,
    /// Whether pictures that a client wants checked may come unchecked from nodes that cannot.
    pub needs_checker: bool,
    /// Whether a job costs nothing of which no picture could be shown.
    pub refunds_flagged: bool,
    /// A lease ends this long after a node's last word.
    pub lease: Millis,
    /// How long pictures are kept.
    pub kept: Millis,
    /// How long those are kept that were asked for as temporary, and uploads.
    pub kept_temporary: Millis,
    /// How long a picture is kept that came with a request which was never taken.
    pub kept_inputs: Millis,
}

impl Config {
    /// Reads and checks everything, once an isolate: what is bound to it never changes.
    ///
    /// # Errors
    /// [`Failure`] naming what is wrong.
    pub fn read(env: &Env) -> Result<Rc<Self>> {
        if let Some(config) = CONFIG.with_borrow(Clone::clone) {
            return Ok(config);
        }
        let config = Self::parse(env)?;
        CONFIG.set(Some(Rc::clone(&config)));
        Ok(config)
    }

    fn parse(env: &Env) -> Result<Rc<Self>> {
        let var = |name: &str| env.var(name).map(|value| value.to_string()).ok().filter(|text| !text.is_empty());
        let seconds =
            |name: &str, usual: u64| Millis::seconds(var(name).and_then(|text| text.parse().ok()).unwrap_or(usual));
        let secret = env.secret("SIGNING_KEY").map(|value| value.to_string()).unwrap_or_default();
        let secret = unhex(&secret).ok_or_else(|| Failure::internal("SIGNING_KEY must be 64 hex digits"))?;
        let usual = StrikePolicy::default();
        let plans = var("PLANS").unwrap_or_else(|| plan::DEFAULT.to_owned());
        let exceptions: Vec<String> = var("EGRESS_EXCEPTIONS")
            .map(|list| list.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
            .unwrap_or_default();
        let pictures_from = UrlPolicy { exceptions: exceptions.clone(), ..UrlPolicy::default() };
        Ok(Rc::new(Self {
            signing: SigningKey { id: 1, secret },
            plans: Plans::parse(&plans).map_err(Failure::internal)?,
            blocked: BlockedTerms::parse(&var("BLOCKED_TERMS").unwrap_or_default()),
            strikes: StrikePolicy {
                hits: var("STRIKES").and_then(|text| text.parse().ok()).unwrap_or(usual.hits),
                within: seconds("STRIKES_SECONDS", usual.within.0 / 1000),
            },
            webhooks_to: UrlPolicy { exceptions, ..UrlPolicy::default() },
            pictures_from,
            public_url: var("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            sign_ups: var("SIGN_UPS_PER_DAY").and_then(|text| text.parse().ok()).unwrap_or(5),
            needs_checker: var("NEEDS_CHECKER").is_some_and(|text| text == "yes"),
            refunds_flagged: var("REFUND_FLAGGED").is_none_or(|text| text == "yes"),
            lease: seconds("LEASE_SECONDS", LEASE_SECONDS),
            kept: seconds("KEPT_SECONDS", KEPT_SECONDS),
            kept_temporary: seconds("KEPT_TEMPORARY_SECONDS", KEPT_TEMPORARY_SECONDS),
            kept_inputs: seconds("KEPT_INPUTS_SECONDS", KEPT_TEMPORARY_SECONDS),
        }))
    }
}

/// The edge's clock.
pub fn now() -> Millis {
    Millis(worker::Date::now().as_millis())
}
