//! Which accounts there are: sign-ups, and the list that the sweeper goes through.

use crate::{call, config, error::Result};
use api::v1::date;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, SqlStorageValue, State, durable_object};

const NAME: &str = "directory";
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
enum Question {
    /// May this client open an account? If so it is noted.
    SignUp { account: String, client: String, most: u32 },
    /// Names after this one.
    Page { after: String },
    /// The account is gone.
    Forget { account: String },
    /// Whether it is there.
    Has { account: String },
}

/// Notes a new account; `false` where its client has opened enough of them today.
///
/// # Errors
/// The directory cannot be reached.
pub async fn sign_up(env: &Env, account: &str, client: &str, most: u32) -> Result<bool> {
    let question = Question::SignUp { account: account.to_owned(), client: client.to_owned(), most };
    call::object(env, "DIRECTORY", NAME, &question, PATIENCE).await
}

/// Up to a hundred names after one.
///
/// # Errors
/// The directory cannot be reached.
pub async fn page(env: &Env, after: &str) -> Result<Vec<String>> {
    call::object(env, "DIRECTORY", NAME, &Question::Page { after: after.to_owned() }, PATIENCE).await
}

/// Forgets an account.
///
/// # Errors
/// The directory cannot be reached.
pub async fn forget(env: &Env, account: &str) -> Result<()> {
    call::object(env, "DIRECTORY", NAME, &Question::Forget { account: account.to_owned() }, PATIENCE).await
}

/// Whether an account was opened here and not deleted.
///
/// # Errors
/// The directory cannot be reached.
pub async fn has(env: &Env, account: &str) -> Result<bool> {
    call::object(env, "DIRECTORY", NAME, &Question::Has { account: account.to_owned() }, PATIENCE).await
}

/// The object; there is one.
#[durable_object]
pub struct Directory {
    state: State,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sign_ups (day TEXT NOT NULL, client TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (day, client));
";

impl DurableObject for Directory {
    fn new(state: State, _env: Env) -> Self {
        if let Err(error) = state.storage().sql().exec(SCHEMA, None) {
            worker::console_error!("{}", serde_json::json!({ "level": "error", "message": error.to_string() }));
        }
        Self { state }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        match call::question(&mut request).await? {
            Question::SignUp { account, client, most } => Response::from_json(&self.sign_up(&account, &client, most)?),
            Question::Page { after } => {
                let query = "SELECT account FROM accounts WHERE account > ? ORDER BY account LIMIT 100";
                Response::from_json(&self.names(query, vec![after.into()])?)
            }
            Question::Forget { account } => {
                self.run("DELETE FROM accounts WHERE account = ?", vec![account.into()])?;
                Response::from_json(&())
            }
            Question::Has { account } => {
                let names = self.names("SELECT account FROM accounts WHERE account = ?", vec![account.into()])?;
                Response::from_json(&!names.is_empty())
            }
        }
    }
}

impl Directory {
    fn run(&self, query: &str, bound: Vec<SqlStorageValue>) -> worker::Result<worker::SqlCursor> {
        self.state.storage().sql().exec(query, Some(bound))
    }

    fn names(&self, query: &str, bound: Vec<SqlStorageValue>) -> worker::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Row {
            account: String,
        }
        Ok(self.run(query, bound)?.to_array::<Row>()?.into_iter().map(|row| row.account).collect())
    }

    fn sign_up(&self, account: &str, client: &str, most: u32) -> worker::Result<bool> {
        #[derive(Deserialize)]
        struct Row {
            number: f64,
        }
        let now = config::now().0;
        let today = date(now);
        self.run("DELETE FROM sign_ups WHERE day <> ?", vec![today.as_str().into()])?;
        let query = "INSERT INTO sign_ups (day, client, number) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET number = number + 1 \
                     WHERE number < ? RETURNING number";
        let bound = vec![today.into(), client.into(), SqlStorageValue::Float(f64::from(most))];
        if self.run(query, bound)?.to_array::<Row>()?.first().is_none_or(|row| row.number > f64::from(most)) {
            return Ok(false);
        }
        let query = "INSERT OR IGNORE INTO accounts (account, at) VALUES (?, ?)";
        self.run(query, vec![account.into(), SqlStorageValue::Float(now as f64)])?;
        Ok(true)
    }
}
