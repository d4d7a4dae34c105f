//! `cargo xtask up`: from a fresh clone to a service that makes pictures.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::place::Place;
use crate::serve::free_port;
use crate::stack::Stack;
use crate::step::Steps;
use crate::test::build_darkroom;
use crate::{dist, edge};

/// Options of `up`.
#[derive(Args)]
pub struct Up {
    /// Port on this machine; 0 takes a free one
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Folder for everything that is kept [default: target/state]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print one line of JSON with the address and a key, and the steps to standard error
    #[arg(long)]
    json: bool,
}

impl Up {
    /// Build, start, say where, and stay until told to stop.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { port, state, json } = self;
        let steps = Steps::for_json(*json);
        // Before the long build, so that a taken port is reported at once.
        let port = free_port(*port).await?;
        dist::ensure(place, steps).await?;
        edge::ensure(place, steps).await?;
        build_darkroom(place, steps).await?;
        let state = state.clone().unwrap_or_else(|| place.root.join("target/state"));
        let mut stack = Stack::start(place, &state, port, steps).await?;
        let (url, key) = (format!("http://127.0.0.1:{port}/"), stack.key()?);
        if *json {
            println!("{}", json!({ "url": url, "key": key }));
        } else {
            println!("{}", greeting(&url, &key));
            println!("token for /admin: in {}", stack.admin_token_file().display());
        }
        stack.watch().await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn greeting(url: &str, key: &str) -> String {
    let request =
        r#"{"task":"generate","model":"demo","prompt":"a dog on a blue background","width":64,"height":64,"seed":1}"#;
    format!(
        "{url}\n\
         key: {key}\n\n\
         curl {url}v1/images -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -H 'Accept: image/png' \\\n  \
         -d '{request}' -o picture.png\n"
    )
}
