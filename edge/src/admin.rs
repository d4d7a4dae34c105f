//! What the one who runs all this may do, with the admin token.

use crate::{
    account::op::{AccountRecord, Op},
    call as calls, config, directory, dispatcher,
    error::{Failure, Result},
    fence,
    http::{self, Call},
    node_calls,
};
use api::v1::{AdminAccount, Code, NewGrant, NewPlan, NodeStatus, PoolStatus, Swept, rfc3339};
use worker::{Method, Response};

/// Answers `/admin`.
///
/// # Errors
/// [`Failure`], as a problem.
pub async fn answer(call: &Call, path: &[&str]) -> Result<Response> {
    // Tokens cannot be tried without end.
    if !fence::opens(call).await {
        return Err(fence::closed());
    }
    if !call.has_token("ADMIN_TOKEN") {
        return Err(Failure::new(Code::Unauthenticated, "send the admin token as Authorization: Bearer"));
    }
    match (call.method()?, path) {
        (Method::Get, ["pool"]) => {
            let summary = dispatcher::summary(&call.env).await?;
            let now = rfc3339(config::now().0);
            let models: Vec<String> = summary.models.iter().map(|(offer, _)| offer.id.as_str().to_owned()).collect();
            let nodes = summary.nodes.iter().map(|(node, device, slots)| NodeStatus {
                node: node.clone(),
                device: device.clone(),
                slots: *slots,
                models: models.clone(),
                seen_at: now.clone(),
            });
            http::json(200, &PoolStatus { nodes: nodes.collect(), waiting: summary.waiting as u64 })
        }
        (Method::Post, ["sweep"]) => http::json(200, &Swept { deleted: node_calls::sweep(&call.env).await? }),
        (Method::Post, ["accounts", account, what]) => {
            if !directory::has(&call.env, account).await? {
                return Err(Failure::not_found());
            }
            let (_, body) = call.body().await?;
            let op = match *what {
                "plan" => Op::SetPlan { plan: NewPlan::read(&body.fields)?.plan },
                "grant" => Op::Grant { credits: NewGrant::read(&body.fields)?.credits },
                "suspend" => Op::Suspend { reason: Some("the administrator suspended it".to_owned()) },
                "resume" => Op::Suspend { reason: None },
                _ => return Err(Failure::not_found()),
            };
            calls::for_edge::<()>(&call.env, account, op).await?;
            let record: AccountRecord = calls::for_edge(&call.env, account, Op::Account).await?;
            http::json(
                200,
                &AdminAccount {
                    account: record.account,
                    plan: record.plan,
                    credits: record.credits,
                    suspended: record.suspended.is_some(),
                },
            )
        }
        _ => Err(Failure::not_found()),
    }
}
