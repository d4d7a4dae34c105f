//! System packages, from Debian's archive where there is apt.

use anyhow::{Result, bail};

use crate::place::{Place, on_path};
use crate::process::quiet;
use crate::step::Steps;

/// Install `packages`, or say that `what` is not here.
pub async fn install(place: &Place, steps: Steps, packages: &[&str], what: &str) -> Result<()> {
    let names = packages.join(" ");
    if on_path("apt-get").is_none() {
        bail!("{what}, and there is no apt to install {names} with");
    }
    let mut install = place.command("bash");
    install.arg("-c").arg(format!("apt-get update -q && apt-get install -y -q --no-install-recommends {names}"));
    install.env("DEBIAN_FRONTEND", "noninteractive");
    let what = format!("{what}, and apt cannot install {names}");
    steps.run(format!("installing {names}"), quiet(&mut install, &place.log("apt"), &what)).await
}
