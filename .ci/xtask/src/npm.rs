//! Pinned npm packages, installed from `.ci/npm` into the cache.

use std::env;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::place::{Place, on_path};
use crate::process::{asked, quiet};
use crate::stamp::Stamp;
use crate::step::Steps;

const OLDEST_NODE: u32 = 20;
/// What the packages want, which is one of them where it is built for this machine.
const OLDEST_NODE_AFTER: u32 = 22;

/// Install the packages unless this very lock file was installed.
pub async fn ensure(place: &Place, steps: Steps) -> Result<()> {
    if on_path("node").is_none() || on_path("npm").is_none() {
        bail!("node and npm are needed and not on the PATH: install Node.js {OLDEST_NODE} or later");
    }
    needs_node(place, OLDEST_NODE).await?;
    let source = place.root.join(".ci/npm");
    let npm = place.npm();
    let stamp = Stamp::of(&place.root, &[".ci/npm/package.json", ".ci/npm/package-lock.json"])?;
    let stamp_file = npm.join("installed");
    if stamp.is_in(&stamp_file) {
        return Ok(());
    }
    fs::create_dir_all(&npm)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(source.join(name), npm.join(name)).with_context(|| format!(".ci/npm/{name} cannot be copied"))?;
    }
    let mut install = place.command("npm");
    // Not under the Node.js that it replaces.
    install.env("PATH", env::var_os("PATH").unwrap_or_default());
    install.current_dir(&npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]);
    let what = "the npm packages cannot be installed";
    steps.run("installing the npm packages", quiet(&mut install, &place.log("npm"), what)).await?;
    needs_node(place, OLDEST_NODE_AFTER).await?;
    stamp.write(&stamp_file)
}

async fn needs_node(place: &Place, oldest: u32) -> Result<()> {
    let said = asked(place.command("node").arg("--version")).await.unwrap_or_default();
    let major = said.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < oldest) {
        bail!("Node.js {oldest} or later is needed, and this is {}", said.trim());
    }
    Ok(())
}
