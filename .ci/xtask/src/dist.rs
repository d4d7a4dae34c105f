//! The page and the engine's worker, built for release into the folder that is served.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::npm;
use crate::place::Place;
use crate::process::quiet;
use crate::stamp::Stamp;
use crate::step::Steps;
use crate::tools::{TRUNK, WASM_BINDGEN};
use crate::wasm_toolchain::WasmToolchain;
use crate::{boot, wasm_names, wasm_opt};

/// Everything that the folder is made from.
const SOURCES: [&str; 12] = [
    "app",
    "edge/api",
    "kernels",
    "static",
    "Trunk.toml",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    ".ci/xtask/src/dist.rs",
    ".ci/xtask/src/boot.rs",
    ".ci/xtask/src/wasm_names.rs",
    ".ci/xtask/src/wasm_opt.rs",
];

/// Install what is missing and build what has changed.
pub async fn ensure(place: &Place, steps: Steps) -> Result<()> {
    npm::ensure(place, steps).await?;
    let toolchain = WasmToolchain::ensure(place, steps).await?;
    WASM_BINDGEN.ensure(place, steps).await?;
    TRUNK.ensure(place, steps).await?;

    let index = place.root.join("app/index.html");
    if !index.is_file() {
        bail!("there is no page to build: app/index.html is missing");
    }
    let stamp = Stamp::of(&place.root, &SOURCES)?;
    let stamp_file = place.root.join("target/dist.stamp");
    if stamp.is_in(&stamp_file) && place.dist().join("index.html").is_file() {
        steps.note("the playground is built already");
        return Ok(());
    }
    build(place, steps, toolchain).await?;
    // The stamp from before: what was edited during the build is not in it.
    stamp.write(&stamp_file)
}

async fn build(place: &Place, steps: Steps, toolchain: WasmToolchain) -> Result<()> {
    let mut fetch = toolchain.fetch(place).await?;
    let what = "the dependencies cannot be fetched";
    steps.run("fetching dependencies", quiet(&mut fetch, &place.log("fetch"), what)).await?;

    // Trunk would build both as well, but silently and in an order of its own; the same arguments make it find them done.
    for (name, manifest, hint) in [
        ("engine", "app/engine/Cargo.toml", " (first time about 15 min)"),
        ("playground", "app/Cargo.toml", " (first time about 3 min)"),
    ] {
        let mut cargo = toolchain.build(place, name, manifest);
        let what = format!("the {name} does not build");
        steps.run(format!("building the {name}{hint}"), quiet(&mut cargo, &place.log(name), &what)).await?;
    }

    let dist = place.dist();
    fs::create_dir_all(&dist).with_context(|| format!("{} cannot be made", dist.display()))?;
    let mut trunk = place.command("trunk");
    trunk.arg("build").arg("--dist").arg(&dist).env_remove("NO_COLOR");
    toolchain.apply(place, &mut trunk);
    steps.run("assembling the page", quiet(&mut trunk, &place.log("trunk"), "Trunk cannot assemble the page")).await?;
    boot::move_inline_scripts(&dist)?;
    wasm_opt::shrink(place, steps).await?;
    wasm_names::strip(place)
}
