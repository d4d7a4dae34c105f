//! What a script that drives a browser is given: the page, a Chromium, and the native program to compare with.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::apt;
use crate::golden;
use crate::place::{Place, on_path};
use crate::serve::Server;
use crate::step::Steps;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// A served page and a browser to open it with.
pub struct Browser {
    url: String,
    chromium: PathBuf,
}

impl Browser {
    /// Serve the built page on a free port, and find or install Chromium.
    pub async fn ensure(place: &Place, steps: Steps) -> Result<Self> {
        let chromium = chromium(place, steps).await?;
        let server = Server::bind().await?;
        let url = server.url();
        steps.run(format!("serving the page on {url}"), server.start(place)).await?;
        Ok(Self { url, chromium })
    }

    /// Tell a script about it, by environment variables.
    pub fn apply(&self, place: &Place, command: &mut Command) {
        let Self { url, chromium } = self;
        command
            .env("DARKROOM_URL", url)
            .env("DARKROOM_BIN", place.darkroom())
            .env("DARKROOM_DIST", place.dist())
            .env("DARKROOM_GOLDEN_ENGINE", golden::folder(place))
            .env("CHROMIUM", chromium)
            // A module is not looked up through NODE_PATH, so scripts import this file by its path.
            .env("PLAYWRIGHT_CORE", place.npm().join("node_modules/playwright-core/index.mjs"));
    }
}

async fn chromium(place: &Place, steps: Steps) -> Result<PathBuf> {
    if let Some(given) = env::var_os("CHROMIUM") {
        return Ok(PathBuf::from(given));
    }
    if let Some(found) = NAMES.into_iter().find_map(on_path) {
        return Ok(found);
    }
    let what = "the browser tests need Chromium: install it, or set CHROMIUM to its path";
    apt::install(place, steps, &["chromium"], what).await?;
    match on_path("chromium") {
        Some(found) => Ok(found),
        None => bail!("apt installed Chromium, but it is not on the PATH: set CHROMIUM to its path"),
    }
}
