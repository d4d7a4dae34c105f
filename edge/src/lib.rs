//! The edge: a Cloudflare Worker that answers clients of hosted image APIs and hands the work to nodes.
//!
//! Here are bindings and routes only. What is said stands in [`api`], what is decided in [`gateway`]; an account is one Durable
//! Object, a pool of nodes another, and pictures are in R2.

mod account;
mod admin;
mod call;
mod config;
mod dialect;
mod directory;
mod dispatcher;
mod egress;
mod error;
mod fence;
mod http;
mod inputs;
mod make;
mod node_calls;
mod objects;
mod pictures;
mod random;
mod receiver;
mod render;
mod site;
mod v1;

use api::v1::{Code, Problem, Readiness};
use error::Result;
use http::Call;
use worker::{
    Context, Env, Method, Response, ScheduleContext, ScheduledEvent, event,
    web_sys::{self, Request},
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let Ok(call) = Call::new(env, context, request) else {
        let problem = Problem::new(Code::Internal, "the server's configuration is not usable; its log says why");
        return http::problem(&problem, None).or_else(|_| Response::error("", 500)).map(Into::into);
    };
    let answered = match answer(&call).await {
        Ok(response) => Ok(response),
        Err(failure) => {
            let (problem, wait) = error::problem(failure, call.limit.get());
            http::problem(&problem, wait)
        }
    };
    let finished = answered.and_then(|response| call.finish(response));
    finished.or_else(|_| Response::error("", 500).map(Into::into))
}

async fn answer(call: &Call) -> Result<Response> {
    if call.is(&Method::Options) {
        return http::empty(204);
    }
    let path = call.path.clone();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["v1", rest @ ..] => v1::answer(call, rest).await,
        ["api", ..] => dialect::answer(call).await,
        ["node", "v1", rest @ ..] => node_calls::answer(call, rest).await,
        ["admin", rest @ ..] => admin::answer(call, rest).await,
        ["pictures", account, job, file] => pictures::serve(call, account, job, file).await,
        ["uploads", account, file] => v1::serve_upload(call, account, file).await,
        ["livez"] => Ok(Response::ok("ok")?),
        ["readyz"] => {
            let summary = dispatcher::summary(&call.env).await?;
            let ready = !summary.nodes.is_empty();
            let readiness = Readiness { ready, nodes: summary.nodes.len() as u64 };
            http::json(if ready { 200 } else { 503 }, &readiness)
        }
        _ => site::serve(call).await,
    }
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    if node_calls::sweep(&env).await.is_err() {
        worker::console_error!(
            "{}",
            serde_json::json!({ "level": "error", "message": "the sweep of accounts failed" })
        );
    }
}
