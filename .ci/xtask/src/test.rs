//! `cargo xtask test`: everything, natively, over HTTP and in a browser, and one closing line.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::process::Command;

use crate::browser::Browser;
use crate::dist;
use crate::edge;
use crate::full_size;
use crate::golden;
use crate::place::Place;
use crate::process::{heard, quiet, shown};
use crate::python;
use crate::size;
use crate::stamp::Stamp;
use crate::step::Steps;
use crate::tally::Tally;

/// The crates that only mean something as wasm.
pub const WASM_ONLY: [&str; 3] = ["playground", "engine", "edge"];
const BROWSER_TESTS: &str = "tests/e2e";
const HTTP_TESTS: &str = "tests/http";
const REQUIREMENTS: &str = "tests/http/requirements.txt";

/// Options of `test`.
#[derive(Args)]
pub struct Test {
    /// The native tests
    #[arg(long)]
    native: bool,
    /// The tests in a browser
    #[arg(long)]
    browser: bool,
    /// The tests of the running edge with nodes and clients
    #[arg(long)]
    http: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

impl Test {
    /// Run the parts asked for, or all; what breaks one counts as a failure and does not stop the others.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { native, browser, http, filter } = self;
        let filter = filter.as_deref();
        let all = !native && !browser && !http;
        let mut tally = Tally::default();
        if all || *native {
            tally += counted(run_native(place, filter).await);
        }
        if all || *http {
            tally += counted(run_http(place, filter).await);
        }
        if all || *browser {
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

/// Build the command-line program alone.
pub async fn build_darkroom(place: &Place, steps: Steps) -> Result<()> {
    let mut build = place.cargo();
    // Its own test as well: what only tests depend on turns on features, and a second set of them would rebuild everything.
    build.args(["build", "--workspace", "--bin", "darkroom", "--test", "cli"]).args(excluded());
    let what = "the program darkroom does not build";
    steps
        .run("building the program darkroom (first time about 12 min)", quiet(&mut build, &place.log("darkroom"), what))
        .await
}

/// What keeps crates that only a browser or workerd runs out of a native build.
pub fn excluded() -> impl Iterator<Item = &'static str> {
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
    test.args(["test", "--workspace", "--no-fail-fast"]).args(excluded()).args(filter).envs(software_vulkan());
    let mut tally = cargo_tests(&mut test).await?;
    // The documents of the API are made by a feature that nothing else needs.
    let mut documents = place.cargo();
    documents.args(["test", "--quiet", "-p", "api", "--features", "openapi", "--lib"]).arg(filter.unwrap_or("openapi"));
    tally += cargo_tests(&mut documents).await?;
    Ok(tally)
}

/// The Vulkan driver that Chromium brings, for a machine that has no other: slow, and right.
pub fn software_vulkan() -> Option<(&'static str, &'static str)> {
    const DRIVER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";
    const NAME: &str = "VK_DRIVER_FILES";
    let has_own = env::var_os(NAME).is_some() || Path::new("/dev/dri").exists() || Path::new("/dev/nvidia0").exists();
    (!has_own && Path::new(DRIVER).is_file()).then_some((NAME, DRIVER))
}

async fn cargo_tests(test: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = heard(test, |line| {
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
    let files = node_tests(place, BROWSER_TESTS)?;
    if files.is_empty() {
        println!("there are no browser tests in {BROWSER_TESTS}");
        return Ok(sizes);
    }
    golden::ensure(place, Steps::Plain).await?;
    build_native(place, Steps::Plain).await?;
    let browser = Browser::ensure(place, Steps::Plain).await?;
    let mut node = place.command("node");
    browser.apply(place, &mut node);
    node.env("DARKROOM_FULL_SIZE", full_size::ensure(place, Steps::Plain).await?);
    let mut tally = run_node(place, &mut node, "browser-tests", &files, filter).await?;
    tally += sizes;
    Ok(tally)
}

async fn run_http(place: &Place, filter: Option<&str>) -> Result<Tally> {
    dist::ensure(place, Steps::Plain).await?;
    edge::ensure(place, Steps::Plain).await?;
    build_darkroom(place, Steps::Plain).await?;
    let requirements = Stamp::of(&place.root, &[REQUIREMENTS])?;
    let what = "the Python clients";
    let folder = place.cache.join("http-venv");
    let python = python::ensure(place, Steps::Plain, &folder, &["-r", REQUIREMENTS], &requirements, what).await?;
    let files = node_tests(place, HTTP_TESTS)?;
    let browser = Browser::ensure(place, Steps::Plain).await?;
    let mut node = place.command("node");
    browser.apply(place, &mut node);
    node.env("MINIFLARE", place.npm().join("node_modules/miniflare"))
        .env("DARKROOM_SERVE", place.root.join("edge/serve.mjs"))
        .env("DARKROOM_WORKER", place.worker())
        .env("DARKROOM_DIST", place.dist())
        .env("DARKROOM_BIN", place.darkroom())
        .env("DARKROOM_MODELS", place.root.join("static/models"))
        .env("DARKROOM_PYTHON", python);
    run_node(place, &mut node, "http-tests", &files, filter).await
}

/// Run files of tests with Node.js, and count what its report says.
async fn run_node(
    place: &Place,
    node: &mut Command,
    name: &str,
    files: &[PathBuf],
    filter: Option<&str>,
) -> Result<Tally> {
    let report = place.log(name).with_extension("tap");
    fs::create_dir_all(place.cache.join("log"))?;
    // Software WebGPU and nodes take all cores, so one file at a time.
    node.args(["--test", "--test-concurrency=1"])
        .args(["--test-reporter=spec", "--test-reporter-destination=stdout", "--test-reporter=tap"])
        .arg(format!("--test-reporter-destination={}", report.display()))
        // In a file none of whose tests is asked for, what `before` began would keep it from ending.
        .args(filter.map(|_| "--test-force-exit"))
        .args(filter.map(|filter| format!("--test-name-pattern={filter}")))
        .args(files);
    let status = shown(node).await?;
    let report = fs::read_to_string(&report).with_context(|| format!("node left no report of the {name}"))?;
    let mut tally = Tally::from_tap(&report).with_context(|| format!("node's report of the {name} has no totals"))?;
    if !status.success() && tally.failed == 0 {
        tally += Tally::BROKEN;
    }
    Ok(tally)
}

fn node_tests(place: &Place, folder: &str) -> Result<Vec<PathBuf>> {
    let name = folder;
    let folder = place.root.join(folder);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{name} cannot be read"))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
