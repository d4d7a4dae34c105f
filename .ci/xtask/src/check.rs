//! `cargo xtask check`: every rule that needs no test run, cheapest first.

use std::process::ExitCode;

use anyhow::{Result, bail};
use tokio::process::Command;

use crate::place::Place;
use crate::process::{quiet, shown};
use crate::step::Steps;
use crate::test::WASM_ONLY;
use crate::tools::{CARGO_DENY, CARGO_MACHETE};
use crate::wasm_toolchain::{TARGET, WasmToolchain};
use crate::{apt, layers, size, style};

const STEPS: Steps = Steps::Plain;
/// A workspace of its own, which no other command builds.
const FUZZ_TARGETS: &str = "tests/fuzz/targets/Cargo.toml";
/// Another, which a bench builds.
const CANDLE: &str = "tests/bench/candle/Cargo.toml";

/// Run all checks and report each that fails.
pub async fn run(place: &Place) -> Result<ExitCode> {
    let mut report = Report::default();
    report.add("format", format(place).await);
    report.add("style", STEPS.run("style", async { style::check(place) }).await);
    report.add("layers", STEPS.run("layers", layers::check(place)).await);
    report.add("sizes", size::check(place, STEPS));
    report.add("unused dependencies", unused(place).await);
    report.add("licences and bans", deny(place).await);
    report.add("clippy", clippy_native(place).await);
    report.add("clippy for wasm", clippy_wasm(place).await);
    Ok(report.close())
}

#[derive(Default)]
struct Report {
    failed: Vec<&'static str>,
}

impl Report {
    fn add(&mut self, name: &'static str, outcome: Result<()>) {
        if let Err(error) = outcome {
            eprintln!("{name}: {error:#}");
            self.failed.push(name);
        }
    }

    fn close(self) -> ExitCode {
        if self.failed.is_empty() {
            println!("all checks pass");
            return ExitCode::SUCCESS;
        }
        println!("failed: {}", self.failed.join(", "));
        ExitCode::FAILURE
    }
}

async fn format(place: &Place) -> Result<()> {
    let mut fmt = place.cargo();
    fmt.args(["fmt", "--all", "--", "--check", "-l"]);
    STEPS.run("format", quiet(&mut fmt, &place.log("fmt"), "run cargo fmt --all")).await?;
    for manifest in [FUZZ_TARGETS, CANDLE] {
        let mut apart = place.cargo();
        apart.args(["fmt", "--manifest-path", manifest, "--", "--check", "-l"]);
        let what = format!("run cargo fmt --manifest-path {manifest}");
        STEPS.run(format!("format of {manifest}"), quiet(&mut apart, &place.log("fmt"), &what)).await?;
    }
    Ok(())
}

async fn unused(place: &Place) -> Result<()> {
    CARGO_MACHETE.ensure(place, STEPS).await?;
    let mut machete = place.command("cargo-machete");
    machete.arg("--skip-target-dir").arg(&place.root);
    STEPS.run("unused dependencies", quiet(&mut machete, &place.log("machete"), "a dependency is not used")).await
}

async fn deny(place: &Place) -> Result<()> {
    CARGO_DENY.ensure(place, STEPS).await?;
    let check = |what: &[&str]| {
        let mut check = cargo_deny(place);
        check.args(["check", "--hide-inclusion-graph"]).args(what);
        check
    };
    let what = "a licence, a ban or a source is against the rules";
    let rules = &mut check(&["licenses", "bans", "sources"]);
    STEPS.run("licences and bans", quiet(rules, &place.log("deny"), what)).await?;
    let mut targets = cargo_deny(place);
    targets.args(["--manifest-path", FUZZ_TARGETS, "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]);
    let told = "licences and bans of the fuzz targets";
    STEPS.run(told, quiet(&mut targets, &place.log("deny-fuzz"), what)).await?;

    // The database is elsewhere, and a machine that cannot have it has still checked the rest.
    let log = place.log("advisories");
    if quiet(cargo_deny(place).args(["fetch", "db"]), &log, "").await.is_err() {
        STEPS.note("advisories are skipped: their database cannot be fetched");
        return Ok(());
    }
    let what = "a dependency has an advisory";
    STEPS.run("advisories", quiet(&mut check(&["advisories"]), &log, what)).await
}

fn cargo_deny(place: &Place) -> Command {
    let mut deny = place.command("cargo-deny");
    deny.args(["--config", ".cargo/deny.toml"]);
    deny
}

async fn clippy_native(place: &Place) -> Result<()> {
    let mut clippy = place.cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--all-targets"]);
    clippy.args(WASM_ONLY.into_iter().flat_map(|name| ["--exclude", name]));
    lint(&mut clippy, "clippy").await?;
    let mut documents = place.cargo();
    documents.args(["clippy", "--quiet", "-p", "api", "--features", "openapi", "--all-targets"]);
    lint(&mut documents, "clippy of the API's documents").await
}

async fn clippy_wasm(place: &Place) -> Result<()> {
    let toolchain = WasmToolchain::ensure(place, STEPS).await?;
    if toolchain == WasmToolchain::Debian && !std::path::Path::new("/usr/bin/cargo-clippy").is_file() {
        apt::install(place, STEPS, &["rust-web-clippy"], "the toolchain for wasm has no clippy").await?;
    }
    let mut clippy = toolchain.cargo(place);
    clippy.args([
        "clippy",
        "--quiet",
        "--target",
        TARGET,
        "-p",
        "protocol",
        "-p",
        "client",
        "--features",
        "engine/golden",
    ]);
    clippy.args(WASM_ONLY.into_iter().flat_map(|name| ["-p", name]));
    clippy.env("CLIPPY_CONF_DIR", place.root.join(".ci/clippy-wasm"));
    lint(&mut clippy, "clippy for wasm").await
}

async fn lint(clippy: &mut Command, name: &str) -> Result<()> {
    clippy.args(["--", "-D", "warnings"]);
    STEPS
        .run(name, async {
            if !shown(clippy).await?.success() {
                bail!("see above");
            }
            Ok(())
        })
        .await
}
