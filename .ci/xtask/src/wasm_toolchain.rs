//! A Rust toolchain with a standard library for `wasm32-unknown-unknown`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

use crate::place::{Place, on_path};
use crate::process::{asked, quiet};
use crate::step::Steps;

/// The target of the page and of the engine.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The profile of everything that runs in a browser.
pub const PROFILE: &str = "wasm-release";

/// The profile of the Worker.
pub const EDGE_PROFILE: &str = "edge-release";

const DEBIAN_TOOLCHAIN: &str = "web";
/// An offline rustup retries for a long time.
const RUSTUP_PATIENCE: Duration = Duration::from_mins(5);

/// Which toolchain builds for wasm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WasmToolchain {
    /// The one that is active anyway.
    Active,
    /// Debian's compiler with a library built from its source.
    Debian,
}

impl WasmToolchain {
    /// Find one or install one: rustup's target first, Debian's packages where it cannot be fetched.
    pub async fn ensure(place: &Place, steps: Steps) -> Result<Self> {
        if has_target(place, None).await {
            return Ok(Self::Active);
        }
        if has_target(place, Some(DEBIAN_TOOLCHAIN)).await {
            return Ok(Self::Debian);
        }
        if on_path("rustup").is_none() {
            bail!("this Rust cannot build for {TARGET}, and there is no rustup to add the target with: install rustup");
        }
        let mut add = place.command("rustup");
        add.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1");
        let log = place.log("rustup");
        let what = format!("rustup has no {TARGET} here");
        let name = format!("adding the target {TARGET}");
        let added = async {
            let add = timeout(RUSTUP_PATIENCE, quiet(&mut add, &log, &what)).await;
            Ok(matches!(add, Ok(Ok(()))))
        };
        if steps.run(name, added).await? && has_target(place, None).await {
            return Ok(Self::Active);
        }
        install_from_debian(place, steps).await?;
        Ok(Self::Debian)
    }

    /// `cargo` of this toolchain, building into the wasm target folder.
    pub fn cargo(self, place: &Place) -> Command {
        let mut cargo = place.command("cargo");
        self.apply(place, &mut cargo);
        cargo
    }

    /// Fetch what the programs of the browser are built from.
    ///
    /// Cargo also wants the sources of what their build scripts and macros would be on this machine.
    pub async fn fetch(self, place: &Place) -> Result<Command> {
        let mut rustc = place.command("rustc");
        self.apply(place, &mut rustc);
        let version = asked(rustc.arg("-vV")).await.unwrap_or_default();
        let Some(host) = version.lines().find_map(|line| line.strip_prefix("host: ")) else {
            bail!("`rustc -vV` does not say what machine this is: is Rust installed?");
        };
        let mut cargo = self.cargo(place);
        cargo.args(["fetch", "--locked", "--target", TARGET, "--target", host]);
        Ok(cargo)
    }

    /// Build one program of the browser, with everything fetched before.
    pub fn build(self, place: &Place, program: &str, manifest: &str) -> Command {
        let mut cargo = self.cargo(place);
        cargo.args(["build", "--offline", "--profile", PROFILE, "--target", TARGET, "--bin", program]);
        cargo.arg("--manifest-path").arg(place.root.join(manifest));
        cargo
    }

    /// Make a program that calls cargo itself use this toolchain.
    pub fn apply(self, place: &Place, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", place.target("wasm"));
        if self == Self::Debian {
            command.env("RUSTUP_TOOLCHAIN", DEBIAN_TOOLCHAIN);
        }
    }
}

async fn has_target(place: &Place, toolchain: Option<&str>) -> bool {
    let mut rustc = place.command("rustc");
    if let Some(toolchain) = toolchain {
        rustc.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let Some(sysroot) = asked(rustc.args(["--print", "sysroot"])).await else { return false };
    let lib = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib");
    fs::read_dir(lib).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && Path::new(name.as_ref()).extension().is_some_and(|ext| ext == "rlib")
        })
    })
}

async fn install_from_debian(place: &Place, steps: Steps) -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!("rustup cannot fetch {TARGET} here, and there is no apt to take it from Debian instead");
    }
    let mut script = place.command("bash");
    script.arg(".ci/wasm-toolchain.sh").arg(place.target("wasm-std"));
    let what = format!("rustup cannot fetch {TARGET} here, and Debian's packages could not provide it");
    steps
        .run(
            "building a wasm library from Debian's source (about 3 min)",
            quiet(&mut script, &place.log("wasm-toolchain"), &what),
        )
        .await
}
