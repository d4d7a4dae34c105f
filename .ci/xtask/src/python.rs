//! Python environments in the cache, each for a fixed list of packages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::apt;
use crate::place::{Place, on_path};
use crate::process::{asked, quiet};
use crate::stamp::Stamp;
use crate::step::Steps;

/// The environment's Python, made in `folder` unless it is there with these very packages.
///
/// `packages` are what pip is told to install, and `stamp` changes with them; `what` names them for people.
pub async fn ensure(
    place: &Place,
    steps: Steps,
    folder: &Path,
    packages: &[&str],
    stamp: &Stamp,
    what: &str,
) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let stamp_file = folder.join("installed");
    if stamp.is_in(&stamp_file) {
        return Ok(python);
    }
    let can_make = async || asked(place.command("python3").args(["-c", "import ensurepip, venv"])).await.is_some();
    if !can_make().await {
        let lacking = "Python 3 with its module venv is needed";
        apt::install(place, steps, &["python3", "python3-venv"], lacking).await?;
    }
    if on_path("python3").is_none() {
        bail!("apt installed Python 3, but it is not on the PATH");
    }
    let log = place.log("python");
    // What an earlier list left would stay otherwise.
    fs::remove_dir_all(folder).ok();
    let mut venv = place.command("python3");
    venv.args(["-m", "venv"]).arg(folder);
    steps.run("making a Python environment", quiet(&mut venv, &log, "Python's venv does not work")).await?;
    let mut pip = place.command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    let failed = format!("{what} cannot be installed");
    steps.run(format!("installing {what}"), quiet(&mut pip, &log, &failed)).await?;
    stamp.write(&stamp_file)?;
    Ok(python)
}
