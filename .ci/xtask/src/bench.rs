//! `cargo xtask bench` and `cargo xtask demo-score`: figures, each from a program of its own.

use std::process::{ExitCode, ExitStatus};

use anyhow::{Result, bail};
use clap::Args;

use crate::browser::Browser;
use crate::dist;
use crate::place::Place;
use crate::process::shown;
use crate::step::Steps;
use crate::test::build_native;

/// Each bench is a script that prints a table, or one JSON object a line with `--json`.
const BENCHES: [(&str, &str, &str); 1] =
    [("browser", "tests/bench/browser.mjs", "the demo model in Chromium, natively, and in onnxruntime-web")];

/// Options of `bench`.
#[derive(Args)]
pub struct Bench {
    /// Which one
    name: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl Bench {
    /// Run one bench, or list them.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { name, json } = self;
        let Some(name) = name else {
            println!("{}", list());
            return Ok(ExitCode::SUCCESS);
        };
        let Some((_, script, _)) = BENCHES.iter().find(|(known, ..)| known == name) else {
            bail!("there is no bench {name:?}\n{}", list());
        };
        if !place.root.join(script).is_file() {
            bail!("{script} is missing");
        }
        let steps = Steps::for_json(*json);
        dist::ensure(place, steps).await?;
        build_native(place, steps).await?;
        let browser = Browser::ensure(place, steps).await?;
        let mut node = place.command("node");
        browser.apply(place, &mut node);
        node.arg(script).args(json.then_some("--json"));
        Ok(exit_code(shown(&mut node).await?))
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
    let lines: Vec<String> = BENCHES.iter().map(|(name, _, what)| format!("{name}: {what}")).collect();
    lines.join("\n")
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
