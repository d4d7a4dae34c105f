//! The Worker, built into the folder that `edge/serve.mjs` runs and `wrangler deploy` uploads.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;

use crate::dist;
use crate::npm;
use crate::place::Place;
use crate::process::{asked, quiet};
use crate::size;
use crate::stamp::Stamp;
use crate::step::Steps;
use crate::tools::{WASM_BINDGEN, WORKER_BUILD};
use crate::wasm_opt;
use crate::wasm_toolchain::{EDGE_PROFILE, WasmToolchain};

/// Everything that it is made from.
const SOURCES: [&str; 9] = [
    "edge/Cargo.toml",
    "edge/src",
    "edge/api",
    "edge/gateway",
    "kernels/spec",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    ".ci/xtask/src/edge.rs",
];

/// Build what is deployed: the Worker and the files that it serves.
pub async fn run(place: &Place) -> Result<ExitCode> {
    ensure(place, Steps::Plain).await?;
    dist::ensure(place, Steps::Plain).await?;
    size::check(place, Steps::Plain)?;
    println!("deploy with: npx wrangler deploy --config edge/wrangler.toml");
    Ok(ExitCode::SUCCESS)
}

/// Install what is missing and build what has changed.
pub async fn ensure(place: &Place, steps: Steps) -> Result<()> {
    npm::ensure(place, steps).await?;
    let toolchain = WasmToolchain::ensure(place, steps).await?;
    WASM_BINDGEN.ensure(place, steps).await?;
    WORKER_BUILD.ensure(place, steps).await?;

    let stamp = Stamp::of(&place.root, &SOURCES)?;
    let stamp_file = place.worker().join("stamp");
    if stamp.is_in(&stamp_file) && place.worker().join("index.js").is_file() {
        steps.note("the edge is built already");
        return Ok(());
    }
    let mut fetch = toolchain.fetch(place).await?;
    let what = "the dependencies cannot be fetched";
    steps.run("fetching dependencies", quiet(&mut fetch, &place.log("fetch"), what)).await?;
    build(place, steps, toolchain).await?;
    // The stamp from before: what was edited during the build is not in it.
    stamp.write(&stamp_file)
}

async fn build(place: &Place, steps: Steps, toolchain: WasmToolchain) -> Result<()> {
    let worker = place.worker();
    // A build that was stopped leaves a lock behind, which the next would wait for.
    fs::remove_dir_all(worker.join(".tmp")).ok();
    let mut build = place.command("worker-build");
    toolchain.apply(place, &mut build);
    build
        .current_dir(place.root.join("edge"))
        .args(["--no-opt", "--profile", EDGE_PROFILE, "--out-dir"])
        .arg(&worker)
        .args(["--offline", "--locked"])
        // A target folder of its own, so that neither it nor the page waits for the other.
        .env("CARGO_TARGET_DIR", place.target("edge"))
        // With these it downloads nothing.
        .env("WASM_BINDGEN_BIN", place.tools().join("bin/wasm-bindgen"))
        .env("ESBUILD_BIN", esbuild(place).await);
    let what = "the edge does not build";
    steps.run("building the edge (first time about 4 min)", quiet(&mut build, &place.log("edge"), what)).await?;
    wasm_opt::strip_names(place, &worker, steps).await
}

/// The program itself: the script of this name starts Node.js first.
async fn esbuild(place: &Place) -> String {
    let mut node = place.command("node");
    node.current_dir(place.npm())
        .args(["-p", "require.resolve(`@esbuild/${process.platform}-${process.arch}/bin/esbuild`)"]);
    let said = asked(&mut node).await.unwrap_or_default();
    match said.trim() {
        "" => place.npm().join("node_modules/.bin/esbuild").display().to_string(),
        path => path.to_owned(),
    }
}
