//! `/v1/accounts`, `/v1/account` and `/v1/usage`.

use super::{keys, uploads, webhooks};
use crate::{
    account::op::{self, AccountRecord, ExportRecord, Op},
    call as calls, directory,
    error::{Failure, Result},
    http::{self, Call, Presented},
    random, render,
};
use api::v1::{Account, AccountCreated, Code, Export, ExportedJob, Usage, UsageDay, rfc3339};
use worker::Response;

/// The plan of new accounts.
const PLAN: &str = "free";

/// Opens an account and shows its first key this once.
pub async fn sign_up(call: &Call) -> Result<Response> {
    let (_, body) = call.body().await?;
    api::fields::Reader::strict(&body.fields).finish()?;
    let id = random::bytes()?;
    let account = http::account_name(id);
    if !directory::sign_up(&call.env, &account, &call.client(), call.config.sign_ups).await? {
        let words = "enough accounts were opened from your address today; try again tomorrow";
        return Err(Failure::new(Code::RateLimited, words));
    }
    let key = keys::fresh(id, false)?;
    let first = op::NewKey {
        id: random::name("key_")?,
        hash: key.hash().to_string(),
        shown: key.shown(),
        is_publishable: false,
        name: "first".to_owned(),
        scopes: vec!["images".to_owned(), "account".to_owned()],
        origins: Vec::new(),
    };
    calls::for_edge::<()>(&call.env, &account, Op::Open { key: first, plan: PLAN.to_owned() }).await?;
    let credits = call.config.plans.get(PLAN).map_or(0, |plan| plan.credits_at_start);
    http::json(201, &AccountCreated { account, key: key.reveal().to_owned(), credits })
}

/// What the account says of itself.
pub async fn get(call: &Call, who: &Presented) -> Result<Response> {
    http::json(200, &account_shown(call.ask(who, Op::Account).await?))
}

/// The month so far.
pub async fn usage(call: &Call, who: &Presented) -> Result<Response> {
    http::json(200, &usage_shown(call.ask(who, Op::Usage).await?))
}

fn account_shown(record: AccountRecord) -> Account {
    Account {
        account: record.account,
        plan: record.plan,
        created_at: rfc3339(record.created),
        suspended: record.suspended.is_some(),
    }
}

fn usage_shown(usage: op::Usage) -> Usage {
    let days = usage.days.into_iter().map(|(day, images, credits)| UsageDay { day, images, credits });
    Usage {
        plan: usage.plan,
        credits: usage.credits,
        held: usage.held,
        images_this_month: usage.images_this_month,
        images_per_month: usage.images_per_month.map(u64::from),
        queued: u64::from(usage.queued),
        queued_jobs: u64::from(usage.queued_jobs),
        requests_per_window: u64::from(usage.requests_per_window),
        days: days.collect(),
    }
}

/// Everything that is known of the account.
pub async fn export(call: &Call, who: &Presented) -> Result<Response> {
    let export: ExportRecord = call.ask(who, Op::Export).await?;
    let mut jobs = Vec::with_capacity(export.jobs.len());
    for record in &export.jobs {
        let job = render::job(&call.config, record, None);
        jobs.push(ExportedJob { job, request: serde_json::to_value(&record.request)? });
    }
    http::json(
        200,
        &Export {
            account: account_shown(export.account),
            usage: usage_shown(export.usage),
            keys: export.keys.into_iter().map(keys::shown).collect(),
            jobs,
            uploads: export.uploads.iter().map(uploads::shown).collect(),
            webhooks: export.webhooks.into_iter().map(webhooks::shown).collect(),
            deliveries: export.deliveries.into_iter().map(webhooks::delivery_shown).collect(),
            ledger: export.ledger,
            audit: export.audit,
        },
    )
}

/// Deletes the account: no key works from now on, and nothing is left soon.
pub async fn delete(call: &Call, who: &Presented) -> Result<Response> {
    call.ask::<()>(who, Op::Delete).await?;
    http::empty(202)
}
