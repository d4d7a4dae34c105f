//! Everything on one machine: workerd with the edge and the page, and one node with the demo model.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::Http;
use crate::place::Place;
use crate::service::{Service, leashed};
use crate::stamp::hex;
use crate::step::Steps;

const MODEL: &str = "demo";
/// Credits of the account for trying it out.
const CREDITS: u32 = 10_000;
/// The edge answers before a node has looked at its models.
const EDGE_PATIENCE: Duration = Duration::from_mins(1);
const NODE_PATIENCE: Duration = Duration::from_mins(3);
/// workerd has nothing to lose.
const EDGE_GRACE: Duration = Duration::from_secs(4);
/// The node finishes or hands back its work in half a minute.
const NODE_GRACE: Duration = Duration::from_secs(35);

/// The running programs; dropped in this order, so that the node can still hand back its work.
pub struct Stack {
    node: Service,
    edge: Service,
    http: Http,
    state: State,
    steps: Steps,
}

impl Stack {
    /// Start them on what `folder` keeps, and return when the demo model can be asked for.
    pub async fn start(place: &Place, folder: &Path, port: u16, steps: Steps) -> Result<Self> {
        let state = State::open(folder)?;
        let url = format!("http://127.0.0.1:{port}");
        let edge = edge(place, &state, port);
        let node = node(place, &state, &url);
        let mut stack = Self { node, edge, http: Http::new(&url), state, steps };
        steps.run("starting the edge", stack.start_edge()).await?;
        stack.state.demo_account(&stack.http).await?;
        steps.run("starting a node", stack.start_node()).await?;
        Ok(stack)
    }

    /// The key of the account for trying it out.
    pub fn key(&self) -> Result<String> {
        self.state.demo_key()
    }

    /// Where the token for `/admin` lies.
    pub fn admin_token_file(&self) -> PathBuf {
        self.state.secret_file(ADMIN_TOKEN)
    }

    /// Start again what ends, for ever.
    pub async fn watch(&mut self) -> Result<()> {
        let Self { node, edge, steps, .. } = self;
        let steps = *steps;
        tokio::try_join!(keep(edge, steps), keep(node, steps))?;
        Ok(())
    }

    async fn start_edge(&mut self) -> Result<()> {
        let Self { edge, http, .. } = self;
        edge.start()?;
        let is_up = async || matches!(http.call(Method::GET, "/livez", "", None).await, Ok((StatusCode::OK, _)));
        edge.ready(EDGE_PATIENCE, is_up).await
    }

    async fn start_node(&mut self) -> Result<()> {
        let key = self.key()?;
        let Self { node, http, .. } = self;
        node.start()?;
        let has_model = async || match http.call(Method::GET, "/v1/models", &key, None).await {
            Ok((StatusCode::OK, answer)) => is_offered(&answer, MODEL),
            _ => false,
        };
        node.ready(NODE_PATIENCE, has_model).await
    }
}

async fn keep(service: &mut Service, steps: Steps) -> Result<()> {
    loop {
        let status = service.ended().await?;
        steps.note(format!("{} ended with {status} and is started again", service.name));
        service.start_again().await?;
    }
}

fn is_offered(answer: &Value, model: &str) -> bool {
    let models = answer["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    models.iter().any(|offer| offer["id"] == model && offer["available"] == true)
}

fn edge(place: &Place, state: &State, port: u16) -> Service {
    let (place, state) = (place.clone(), state.clone());
    Service::new("the edge", state.log("edge"), EDGE_GRACE, move || {
        let mut serve = leashed(&place, "node");
        serve.arg("edge/serve.mjs").args(["--port", &port.to_string()]);
        serve.arg("--state").arg(&state.folder).arg("--worker").arg(place.worker()).arg("--dist").arg(place.dist());
        serve.env("MINIFLARE", place.npm().join("node_modules/miniflare"));
        for name in SECRETS {
            serve.env(name, state.secret(name).unwrap_or_default());
        }
        serve
    })
}

fn node(place: &Place, state: &State, url: &str) -> Service {
    let (place, state, url) = (place.clone(), state.clone(), url.to_owned());
    Service::new("the node", state.log("node"), NODE_GRACE, move || {
        let mut serve = leashed(&place, place.darkroom());
        serve.args(["serve", "--edge", &url, "--models", "static/models", "--device", "cpu"]);
        serve.env("DARKROOM_TOKEN", state.secret(NODE_TOKEN).unwrap_or_default());
        serve
    })
}

const ADMIN_TOKEN: &str = "ADMIN_TOKEN";
const NODE_TOKEN: &str = "NODE_TOKEN";
const SECRETS: [&str; 3] = [ADMIN_TOKEN, NODE_TOKEN, "SIGNING_KEY"];
const DEMO: &str = "demo-account.json";

/// The folder that outlives them: what workerd keeps, secrets, logs, and the key for trying it out.
#[derive(Clone)]
struct State {
    folder: PathBuf,
}

impl State {
    /// Make the folder and its secrets, where they are not there.
    fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        let folder = folder.canonicalize()?;
        let state = Self { folder };
        for name in SECRETS {
            if !state.secret_file(name).is_file() {
                write_private(&state.secret_file(name), &random_hex()?)?;
            }
        }
        Ok(state)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join("log").join(format!("{name}.log"))
    }

    fn secret_file(&self, name: &str) -> PathBuf {
        self.folder.join(name.to_lowercase().replace('_', "-"))
    }

    fn secret(&self, name: &str) -> Result<String> {
        let file = self.secret_file(name);
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        Ok(text.trim().to_owned())
    }

    fn demo_key(&self) -> Result<String> {
        let file = self.folder.join(DEMO);
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let account: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        text_of(&account, "key")
    }

    /// Sign up at the first start, and whenever that account is gone.
    async fn demo_account(&self, http: &Http) -> Result<()> {
        if let Ok(key) = self.demo_key() {
            let (status, answer) = http.call(Method::GET, "/v1/account", &key, None).await?;
            match status {
                StatusCode::OK => return Ok(()),
                StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => {}
                _ => bail!("the demo account is answered {status}: {answer}"),
            }
        }
        let account = http.ask(Method::POST, "/v1/accounts", "", Some(&json!({}))).await?;
        let path = format!("/admin/accounts/{}/grant", text_of(&account, "account")?);
        let admin = self.secret(ADMIN_TOKEN)?;
        http.ask(Method::POST, &path, &admin, Some(&json!({ "credits": CREDITS }))).await?;
        write_private(&self.folder.join(DEMO), &account.to_string())
    }
}

fn text_of(value: &Value, name: &str) -> Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("an account without a {name}"))
}

/// 32 random bytes.
fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    let mut source = fs::File::open("/dev/urandom").context("this system has no /dev/urandom")?;
    source.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

/// A file that only its owner reads, whole or not there.
fn write_private(file: &Path, text: &str) -> Result<()> {
    let partial = file.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    writeln!(out, "{text}")?;
    out.sync_all()?;
    fs::rename(&partial, file).with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        let made = SECRETS.map(|name| state.secret(name).unwrap());
        assert!(made.iter().all(|secret| secret.len() == 64));
        assert!(made[0] != made[1] && made[1] != made[2]);
        let mode = fs::metadata(state.secret_file(NODE_TOKEN)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = State::open(&folder.path().join("state")).unwrap();
        assert_eq!(made, SECRETS.map(|name| again.secret(name).unwrap()));
    }

    #[test]
    fn a_model_is_offered_when_it_is_available() {
        let answer = json!({ "models": [{ "id": "demo", "available": false }, { "id": "other", "available": true }] });
        assert!(!is_offered(&answer, "demo"));
        assert!(is_offered(&answer, "other"));
        assert!(!is_offered(&Value::Null, "demo"));
    }
}
