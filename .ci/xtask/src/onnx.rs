//! What the bench compares with: the demo model's UNet in ONNX, and onnxruntime-web.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::place::Place;
use crate::process::quiet;
use crate::python;
use crate::stamp::Stamp;
use crate::step::Steps;

const RUNTIME: &str = "onnxruntime-web@1.30.0";
const PACKAGES: [&str; 7] =
    ["torch==2.15.0", "diffusers==0.37.1", "transformers==4.57.6", "onnx", "onnxscript", "safetensors", "gguf"];
const SDCPP: [&str; 1] = ["stable-diffusion-cpp-python==0.4.7"];
const SCRIPT: &str = "tests/bench/export_unet.py";
const SD15_SCRIPT: &str = "tests/bench/export_sd15.py";
const MODEL: &str = "static/models/demo/demo-q8_0.gguf";

/// onnxruntime-web's files, installed unless they are there.
pub async fn runtime(place: &Place, steps: Steps) -> Result<PathBuf> {
    let folder = folder(place)?;
    let runtime = folder.join("node_modules/onnxruntime-web/dist");
    if !runtime.is_dir() {
        let mut npm = place.command("npm");
        npm.current_dir(&folder).args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", RUNTIME]);
        let what = "onnxruntime-web cannot be installed";
        steps.run(format!("installing {RUNTIME}"), quiet(&mut npm, &place.log("onnxruntime"), what)).await?;
    }
    Ok(runtime)
}

/// The UNet, exported with the reference implementation unless this very model was.
pub async fn unet(place: &Place, steps: Steps) -> Result<PathBuf> {
    let folder = folder(place)?;
    let model = folder.join("unet.onnx");
    let stamp = Stamp::of(&place.root, &[SCRIPT, MODEL])?;
    let stamp_file = folder.join("unet.stamp");
    if !stamp.is_in(&stamp_file) {
        let mut export = place.command(reference(place, steps, &folder).await?);
        export.args([SCRIPT, MODEL]).arg(&model);
        let what = "the UNet cannot be exported";
        steps.run("exporting the UNet to ONNX", quiet(&mut export, &place.log("onnx"), what)).await?;
        stamp.write(&stamp_file)?;
    }
    Ok(model)
}

/// Networks of Stable Diffusion 1.5's shape with random weights, exported with the reference implementation once.
pub async fn sd15(place: &Place, steps: Steps) -> Result<PathBuf> {
    let folder = folder(place)?;
    let networks = folder.join("sd15");
    let stamp = Stamp::of(&place.root, &[SD15_SCRIPT])?;
    let stamp_file = networks.join("stamp");
    if !stamp.is_in(&stamp_file) {
        fs::create_dir_all(&networks).with_context(|| format!("{} cannot be made", networks.display()))?;
        let mut export = place.command(reference(place, steps, &folder).await?);
        export.arg(SD15_SCRIPT).arg(&networks);
        let what = "the networks of Stable Diffusion 1.5's shape cannot be exported";
        let told = "exporting networks of Stable Diffusion 1.5's shape to ONNX (about 2 min)";
        steps.run(told, quiet(&mut export, &place.log("onnx-sd15"), what)).await?;
        stamp.write(&stamp_file)?;
    }
    Ok(networks)
}

/// Python with the reference implementation, for the benches.
pub async fn python(place: &Place, steps: Steps) -> Result<PathBuf> {
    reference(place, steps, &folder(place)?).await
}

/// Python with the reference implementation.
async fn reference(place: &Place, steps: Steps, folder: &Path) -> Result<PathBuf> {
    let packages = Stamp::of_bytes(PACKAGES.join(" ").as_bytes());
    let what = "the reference implementation (about 2 GB)";
    python::ensure(place, steps, &folder.join("venv"), &PACKAGES, &packages, what).await
}

/// Python with stable-diffusion.cpp, for the benches.
pub async fn sdcpp(place: &Place, steps: Steps) -> Result<PathBuf> {
    let packages = Stamp::of_bytes(SDCPP.join(" ").as_bytes());
    let what = "stable-diffusion.cpp (compiles for about 10 min)";
    python::ensure(place, steps, &folder(place)?.join("sdcpp"), &SDCPP, &packages, what).await
}

/// The program that times candle, for the benches.
pub async fn candle(place: &Place, steps: Steps) -> Result<PathBuf> {
    let target = place.target("candle");
    let mut build = place.cargo();
    build.env("CARGO_TARGET_DIR", &target).args([
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        "tests/bench/candle/Cargo.toml",
    ]);
    let what = "candle does not build";
    steps.run("building candle (first time about 3 min)", quiet(&mut build, &place.log("candle"), what)).await?;
    Ok(target.join("release/candle-side"))
}

fn folder(place: &Place) -> Result<PathBuf> {
    let folder = place.cache.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}
