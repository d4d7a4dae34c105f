//! `cargo xtask bench` and `cargo xtask demo-score`: figures, each from a program of its own.

use std::process::{ExitCode, ExitStatus};

use anyhow::{Result, bail};
use clap::Args;

use crate::browser::Browser;
use crate::dist;
use crate::edge;
use crate::full_size;
use crate::golden;
use crate::onnx;
use crate::place::Place;
use crate::process::{exit_code, quiet, shown};
use crate::step::Steps;
use crate::test::{build_native, excluded, software_vulkan};
use crate::wasm_toolchain::{PROFILE, TARGET};

/// Each bench prints a table, or one JSON object a line with `--json`.
const BENCHES: [(&str, &str); 6] = [
    (
        "cpu",
        "a model of Stable Diffusion 1.5's shape natively on the CPU, beside the reference implementation on PyTorch",
    ),
    ("weights", "how long files take to be refused that were made to break their reader"),
    ("kernels", "our GPU kernels beside burn's, natively by Vulkan"),
    ("browser", "the demo model in Chromium, natively, and in onnxruntime-web; our GPU kernels beside burn's and its"),
    ("size", "bytes of the page's programs, raw, gzipped and by brotli, and what is in the engine"),
    ("edge", "the Worker's hot paths beside a JavaScript worker on the same workerd and native axum"),
];

/// Parts of the bench `browser`, as `tests/bench/browser.mjs` names them.
const PARTS: [&str; 6] = ["playground", "native", "unet", "trace", "kernels", "networks"];

/// With whom `cpu` compares beside the reference implementation, where they are asked for.
const OTHERS: [&str; 2] = ["sdcpp", "candle"];

/// Options of `bench`.
#[derive(Args)]
pub struct Bench {
    /// Which one; all without
    name: Option<String>,
    /// Which parts of `browser`: playground, native, unet, trace, kernels, networks; all without. With whom `cpu` compares beside
    /// PyTorch: sdcpp, candle
    parts: Vec<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Run one bench, or all.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { name, .. } = self;
        let chosen: Vec<_> =
            BENCHES.iter().filter(|(known, _)| name.as_deref().is_none_or(|name| name == *known)).collect();
        if chosen.is_empty() {
            bail!("there is no such bench; there are:\n{}", list());
        }
        let known: &[&str] = match name.as_deref() {
            Some("browser") => &PARTS,
            Some("cpu") => &OTHERS,
            _ => &[],
        };
        if let Some(part) = self.parts.iter().find(|part| !known.contains(&part.as_str())) {
            let (parts, others) = (PARTS.join(", "), OTHERS.join(", "));
            bail!("{part} is no part of it: browser has {parts}, cpu has {others}, the others have none");
        }
        for (name, _) in chosen {
            let status = match *name {
                "weights" => self.weights(place).await?,
                "cpu" => self.cpu(place).await?,
                "kernels" => self.kernels(place).await?,
                "edge" => self.edge(place).await?,
                "size" => self.size(place).await?,
                _ => self.browser(place).await?,
            };
            if !status.success() {
                return Ok(exit_code(status));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn weights(&self, place: &Place) -> Result<ExitStatus> {
        let mut bench = place.cargo();
        bench
            .args(["bench", "--quiet", "-p", "weights", "--bench", "hostile", "--"])
            .args(self.json.then_some("--json"));
        shown(&mut bench).await
    }

    async fn kernels(&self, place: &Place) -> Result<ExitStatus> {
        let mut bench = place.cargo();
        // As the tests are built: another selection of crates would build burn anew, and the host's code is not what is timed.
        bench
            .args(["test", "--quiet", "--workspace"])
            .args(excluded())
            .args(["--bench", "kernels", "--"])
            .args(self.json.then_some("--json"))
            .envs(software_vulkan());
        shown(&mut bench).await
    }

    async fn cpu(&self, place: &Place) -> Result<ExitStatus> {
        let steps = Steps::for_json(self.json);
        build_native(place, steps).await?;
        let model = full_size::sd15_folder(place, steps).await?;
        let mut ours = place.cargo();
        // As the tests are built: another selection of crates would build burn anew.
        ours.args(["test", "--quiet", "--workspace", "--no-run"]).args(excluded()).args(["--bench", "networks"]);
        let what = "our side of the bench does not build";
        steps.run("building our side of the bench", quiet(&mut ours, &place.log("bench"), what)).await?;
        let mut node = place.command("node");
        let asks_for = |other: &str| self.parts.iter().any(|part| part == other);
        if asks_for("sdcpp") {
            node.env("DARKROOM_SDCPP", onnx::sdcpp(place, steps).await?);
        }
        if asks_for("candle") {
            node.env("DARKROOM_CANDLE", onnx::candle(place, steps).await?);
        }
        node.env("DARKROOM_MODEL", model)
            .env("DARKROOM_DEPS", place.target("native/debug/deps"))
            .env("DARKROOM_PYTHON", onnx::python(place, steps).await?)
            .arg("tests/bench/cpu.mjs")
            .args(self.json.then_some("--json"));
        shown(&mut node).await
    }

    async fn size(&self, place: &Place) -> Result<ExitStatus> {
        dist::ensure(place, Steps::for_json(self.json)).await?;
        let mut node = place.command("node");
        node.env("DARKROOM_DIST", place.dist())
            .env("DARKROOM_WASM", place.target("wasm").join(TARGET).join(PROFILE).join("engine.wasm"))
            .arg("tests/bench/size.mjs")
            .args(self.json.then_some("--json"));
        shown(&mut node).await
    }

    async fn edge(&self, place: &Place) -> Result<ExitStatus> {
        let steps = Steps::for_json(self.json);
        edge::ensure(place, steps).await?;
        let mut native = place.cargo();
        native.args(["build", "--quiet", "--release", "-p", "gateway", "--example", "native"]);
        let what = "the native side of the bench does not build";
        steps
            .run("building the native side (first time about 2 min)", quiet(&mut native, &place.log("bench"), what))
            .await?;
        let mut node = place.command("node");
        node.env("MINIFLARE", place.npm().join("node_modules/miniflare"))
            .env("SERVE", place.root.join("edge/serve.mjs"))
            .env("WORKER", place.worker())
            .env("DIST", place.root.join("static"))
            .env("NATIVE", place.target("native").join("release/examples/native"))
            .arg("tests/bench/edge.mjs")
            .args(self.json.then_some("--json"));
        shown(&mut node).await
    }

    async fn browser(&self, place: &Place) -> Result<ExitStatus> {
        let steps = Steps::for_json(self.json);
        dist::ensure(place, steps).await?;
        golden::ensure(place, steps).await?;
        let runs = |part: &str| self.parts.is_empty() || self.parts.iter().any(|named| named == part);
        let mut node = place.command("node");
        if runs("native") {
            build_native(place, steps).await?;
        }
        if runs("unet") {
            node.env("DARKROOM_ONNX", onnx::unet(place, steps).await?);
        }
        if runs("networks") {
            node.env("DARKROOM_SD15", onnx::sd15(place, steps).await?);
        }
        if runs("unet") || runs("kernels") || runs("networks") {
            node.env("DARKROOM_ORT", onnx::runtime(place, steps).await?);
        }
        let browser = Browser::ensure(place, steps).await?;
        browser.apply(place, &mut node);
        node.arg("tests/bench/browser.mjs").args(&self.parts).args(self.json.then_some("--json"));
        shown(&mut node).await
    }
}

/// Options of `demo-score`.
#[derive(Args)]
pub struct DemoScore {
    /// Passed on to `darkroom demo-score`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl DemoScore {
    /// Build the native program and let it judge.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        // Standard output belongs to the score.
        build_native(place, Steps::Aside).await?;
        let mut darkroom = place.command(place.darkroom());
        darkroom.arg("demo-score").args(&self.arguments);
        Ok(exit_code(shown(&mut darkroom).await?))
    }
}

fn list() -> String {
    let lines: Vec<String> = BENCHES.iter().map(|(name, what)| format!("{name}: {what}")).collect();
    lines.join("\n")
}
