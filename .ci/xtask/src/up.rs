//! `cargo xtask up`: from a fresh clone to a page that answers.

use std::future::pending;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::dist;
use crate::place::Place;
use crate::serve::Server;
use crate::step::Steps;

/// Options of `up`.
#[derive(Args)]
pub struct Up {
    /// Port on this machine
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Print one line of JSON with the address, and the steps to standard error
    #[arg(long)]
    json: bool,
}

impl Up {
    /// Build, serve, say where, and stay until told to stop.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { port, json } = *self;
        let steps = Steps::for_json(json);
        // Taken before the long build, so that a taken port is reported at once.
        let server = Server::bind(port).await?;
        let url = server.url();
        dist::ensure(place, steps).await?;
        steps.run("starting the server", server.start(place)).await?;
        if json {
            println!("{}", json!({ "url": url }));
        } else {
            println!("{url}");
        }
        pending().await
    }
}
