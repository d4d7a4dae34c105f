//! The engine once more, with the answers that only the browser tests ask for.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::place::Place;
use crate::process::quiet;
use crate::stamp::Stamp;
use crate::step::Steps;
use crate::wasm_toolchain::{PROFILE, TARGET, WasmToolchain};

/// Everything that it is made from.
const SOURCES: [&str; 7] = [
    "app/engine",
    "app/protocol",
    "kernels",
    "tests/golden/src",
    "Cargo.toml",
    "Cargo.lock",
    ".ci/xtask/src/golden.rs",
];

/// Where it lies: `engine.js` and `engine_bg.wasm`, in place of those that are served.
pub fn folder(place: &Place) -> PathBuf {
    place.root.join("target/golden")
}

/// Build it if something has changed; what it needs beside the toolchain is there after [`crate::dist::ensure`].
pub async fn ensure(place: &Place, steps: Steps) -> Result<()> {
    let folder = folder(place);
    let stamp = Stamp::of(&place.root, &SOURCES)?;
    let stamp_file = folder.join("stamp");
    if stamp.is_in(&stamp_file) {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let toolchain = WasmToolchain::ensure(place, steps).await?;
    let mut cargo = toolchain.build(place, "engine", "app/engine/Cargo.toml");
    cargo.args(["--features", "golden"]);
    let what = "the engine of the tests does not build";
    steps.run("building the engine of the tests (about 5 min)", quiet(&mut cargo, &place.log("golden"), what)).await?;

    let wasm = place.target("wasm").join(TARGET).join(PROFILE).join("engine.wasm");
    let mut bindgen = place.command("wasm-bindgen");
    bindgen.args(["--target", "web", "--no-typescript", "--out-name", "engine", "--out-dir"]).arg(&folder).arg(wasm);
    let what = "wasm-bindgen cannot read the engine of the tests";
    steps.run("binding the engine of the tests", quiet(&mut bindgen, &place.log("golden-bindgen"), what)).await?;
    stamp.write(&stamp_file)
}
