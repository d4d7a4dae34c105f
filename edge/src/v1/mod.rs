//! Our own dialect: a table of routes, and what each does.

mod account;
mod images;
mod jobs;
mod keys;
mod uploads;
mod webhooks;

pub use uploads::{serve as serve_upload, store as store_upload, url as upload_url};

use crate::{
    account::op::Scope,
    dispatcher,
    error::{Failure, Result},
    fence,
    http::{self, Call, Presented},
};
use api::{
    body::form,
    v1::{Code, Model, ModelList, schedulers},
};
use worker::{Method, Response};

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    SignUp,
    Make,
    Estimate,
    Jobs,
    Job,
    Events,
    Cancel,
    DeleteJob,
    Models,
    Schedulers,
    Upload,
    DeleteUpload,
    Usage,
    Keys,
    CreateKey,
    RotateKey,
    DeleteKey,
    Webhooks,
    CreateWebhook,
    DeleteWebhook,
    Deliveries,
    Replay,
    Account,
    Export,
    DeleteAccount,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Anyone.
    Public,
    /// A key with this scope.
    Key(Scope),
}

use Access::{Key, Public};
use Scope::{Account as Own, Images};

/// Every route: method, path (`*` stands for one part), who may, what it does.
const ROUTES: [(Method, &[&str], Access, Action); 25] = [
    (Method::Post, &["accounts"], Public, Action::SignUp),
    (Method::Post, &["images"], Key(Images), Action::Make),
    (Method::Post, &["images", "estimate"], Key(Images), Action::Estimate),
    (Method::Get, &["jobs"], Key(Images), Action::Jobs),
    (Method::Get, &["jobs", "*"], Key(Images), Action::Job),
    (Method::Get, &["jobs", "*", "events"], Key(Images), Action::Events),
    (Method::Post, &["jobs", "*", "cancel"], Key(Images), Action::Cancel),
    (Method::Delete, &["jobs", "*"], Key(Images), Action::DeleteJob),
    (Method::Get, &["models"], Public, Action::Models),
    (Method::Get, &["schedulers"], Public, Action::Schedulers),
    (Method::Post, &["uploads"], Key(Images), Action::Upload),
    (Method::Delete, &["uploads", "*"], Key(Images), Action::DeleteUpload),
    (Method::Get, &["usage"], Key(Own), Action::Usage),
    (Method::Get, &["keys"], Key(Own), Action::Keys),
    (Method::Post, &["keys"], Key(Own), Action::CreateKey),
    (Method::Post, &["keys", "*", "rotate"], Key(Own), Action::RotateKey),
    (Method::Delete, &["keys", "*"], Key(Own), Action::DeleteKey),
    (Method::Get, &["webhooks"], Key(Own), Action::Webhooks),
    (Method::Post, &["webhooks"], Key(Own), Action::CreateWebhook),
    (Method::Delete, &["webhooks", "*"], Key(Own), Action::DeleteWebhook),
    (Method::Get, &["webhooks", "deliveries"], Key(Own), Action::Deliveries),
    (Method::Post, &["webhooks", "deliveries", "*", "replay"], Key(Own), Action::Replay),
    (Method::Get, &["account"], Key(Own), Action::Account),
    (Method::Get, &["account", "export"], Key(Own), Action::Export),
    (Method::Delete, &["account"], Key(Own), Action::DeleteAccount),
];

/// The parts that stand where a pattern has stars; `None` where it is another path.
fn matched<'p>(pattern: &[&str], path: &[&'p str]) -> Option<Vec<&'p str>> {
    let fits = pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(wanted, found)| *wanted == "*" || wanted == found);
    fits.then(|| pattern.iter().zip(path).filter(|(wanted, _)| **wanted == "*").map(|(_, found)| *found).collect())
}

/// Answers a call to `/v1`.
///
/// # Errors
/// [`Failure`], as a problem.
pub async fn answer(call: &Call, path: &[&str]) -> Result<Response> {
    let here: Vec<_> = ROUTES.iter().filter(|(_, pattern, ..)| matched(pattern, path).is_some()).collect();
    if here.is_empty() {
        return Err(Failure::not_found());
    }
    let method = match call.method() {
        Ok(Method::Head) => Some(Method::Get),
        other => other.ok(),
    };
    let Some((_, pattern, access, action)) = here.iter().find(|(allowed, ..)| Some(allowed) == method.as_ref()) else {
        return not_allowed(&here.iter().map(|(allowed, ..)| allowed.as_ref()).collect::<Vec<_>>());
    };
    // A query that two readers could understand differently is not one.
    form(call.raw_query.as_bytes())?;
    let parts = matched(pattern, path).unwrap_or_default();
    let part = parts.first().copied().unwrap_or_default();
    let Key(scope) = access else {
        return if fence::opens(call).await { public(call, *action).await } else { Err(fence::closed()) };
    };
    let who = call.bearer(*scope)?;
    match action {
        Action::Make => images::make(call, &who).await,
        Action::Estimate => images::estimate(call, &who).await,
        Action::Jobs => jobs::list(call, &who).await,
        Action::Job => jobs::get(call, &who, part).await,
        Action::Events => jobs::events(call, &who, part).await,
        Action::Cancel => jobs::cancel(call, &who, part).await,
        Action::DeleteJob => jobs::delete(call, &who, part).await,
        Action::Upload => uploads::create(call, &who).await,
        Action::DeleteUpload => uploads::delete(call, &who, part).await,
        _ => for_account(call, &who, *action, part).await,
    }
}

async fn for_account(call: &Call, who: &Presented, action: Action, part: &str) -> Result<Response> {
    match action {
        Action::Usage => account::usage(call, who).await,
        Action::Keys => keys::list(call, who).await,
        Action::CreateKey => keys::create(call, who).await,
        Action::RotateKey => keys::rotate(call, who, part).await,
        Action::DeleteKey => keys::delete(call, who, part).await,
        Action::Webhooks => webhooks::list(call, who).await,
        Action::CreateWebhook => webhooks::create(call, who).await,
        Action::DeleteWebhook => webhooks::delete(call, who, part).await,
        Action::Deliveries => webhooks::deliveries(call, who).await,
        Action::Replay => webhooks::replay(call, who, part).await,
        Action::Account => account::get(call, who).await,
        Action::Export => account::export(call, who).await,
        Action::DeleteAccount => account::delete(call, who).await,
        _ => Err(Failure::not_found()),
    }
}

async fn public(call: &Call, action: Action) -> Result<Response> {
    match action {
        Action::SignUp => account::sign_up(call).await,
        Action::Models => {
            let summary = dispatcher::summary(&call.env).await?;
            let models =
                summary.models.iter().map(|(offer, available)| Model::new(offer.clone(), *available)).collect();
            http::json(200, &ModelList { models })
        }
        Action::Schedulers => http::json(200, &schedulers()),
        _ => Err(Failure::not_found()),
    }
}

fn not_allowed(methods: &[&str]) -> Result<Response> {
    let allowed = methods.join(", ");
    let problem = api::v1::Problem::new(Code::MethodNotAllowed, format!("this path takes {allowed}"));
    let response = http::problem(&problem, None)?;
    let headers = response.headers().clone();
    headers.set("allow", &allowed)?;
    Ok(response.with_headers(headers))
}
