//! `cargo xtask test`: everything, natively and in a browser, and one closing line.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::browser::Browser;
use crate::dist;
use crate::golden;
use crate::place::Place;
use crate::process::{heard, quiet, shown};
use crate::size;
use crate::step::Steps;
use crate::tally::Tally;

/// The crates that only mean something as wasm.
pub const WASM_ONLY: [&str; 2] = ["playground", "engine"];
const BROWSER_TESTS: &str = "tests/e2e";

/// Options of `test`.
#[derive(Args)]
pub struct Test {
    /// Only the native half
    #[arg(long, conflicts_with = "browser")]
    native: bool,
    /// Only the browser half
    #[arg(long)]
    browser: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

impl Test {
    /// Run the halves asked for; what breaks one counts as a failure and does not stop the other.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { native, browser, filter } = self;
        let filter = filter.as_deref();
        let mut tally = Tally::default();
        if !browser {
            tally += counted(run_native(place, filter).await);
        }
        if !native {
            tally += counted(run_browser(place, filter).await);
        }
        println!("{tally}");
        Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Build the native programs as the tests need them, so that building for either serves both.
pub async fn build_native(place: &Place, steps: Steps) -> Result<()> {
    let mut build = place.cargo();
    build.args(["build", "--workspace", "--bins", "--tests"]).args(excluded());
    let what = "the native programs do not build";
    steps
        .run("building the native programs (first time about 15 min)", quiet(&mut build, &place.log("native"), what))
        .await
}

fn excluded() -> impl Iterator<Item = &'static str> {
    WASM_ONLY.into_iter().flat_map(|name| ["--exclude", name])
}

fn counted(outcome: Result<Tally>) -> Tally {
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        Tally::BROKEN
    })
}

async fn run_native(place: &Place, filter: Option<&str>) -> Result<Tally> {
    build_native(place, Steps::Plain).await?;
    let mut test = place.cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]).args(excluded()).args(filter);
    let mut tally = Tally::default();
    let status = heard(&mut test, |line| {
        if let Some(counts) = Tally::from_cargo(line) {
            tally += counts;
        }
    })
    .await?;
    if !status.success() && tally.failed == 0 {
        tally += Tally::BROKEN;
    }
    Ok(tally)
}

async fn run_browser(place: &Place, filter: Option<&str>) -> Result<Tally> {
    dist::ensure(place, Steps::Plain).await?;
    // On a fresh clone `check` ran before there was anything to weigh.
    let sizes = counted(size::check(place, Steps::Plain).map(|()| Tally::default()));
    let files = browser_tests(place)?;
    if files.is_empty() {
        println!("there are no browser tests in {BROWSER_TESTS}");
        return Ok(sizes);
    }
    golden::ensure(place, Steps::Plain).await?;
    build_native(place, Steps::Plain).await?;
    let browser = Browser::ensure(place, Steps::Plain).await?;
    let report = place.log("browser-tests").with_extension("tap");
    let mut node = place.command("node");
    browser.apply(place, &mut node);
    // Software WebGPU takes all cores, so one file at a time.
    node.args(["--test", "--test-concurrency=1"])
        .args(["--test-reporter=spec", "--test-reporter-destination=stdout", "--test-reporter=tap"])
        .arg(format!("--test-reporter-destination={}", report.display()))
        .args(filter.map(|filter| format!("--test-name-pattern={filter}")))
        .args(&files);
    let status = shown(&mut node).await?;
    let report = fs::read_to_string(&report).context("node left no report of the browser tests")?;
    let mut tally = Tally::from_tap(&report).context("node's report of the browser tests has no totals")?;
    if !status.success() && tally.failed == 0 {
        tally += Tally::BROKEN;
    }
    tally += sizes;
    Ok(tally)
}

fn browser_tests(place: &Place) -> Result<Vec<PathBuf>> {
    let folder = place.root.join(BROWSER_TESTS);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{BROWSER_TESTS} cannot be read"))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
