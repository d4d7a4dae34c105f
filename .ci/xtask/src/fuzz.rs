//! `cargo xtask fuzz`: any bytes, very many of them, for everything that reads what strangers wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::process::Command;

use crate::apt;
use crate::place::{Place, on_path};
use crate::process::{quiet, watched};
use crate::stamp::Stamp;
use crate::step::Steps;
use crate::tools::CARGO_FUZZ;

const STEPS: Steps = Steps::Plain;

/// The names of `fuzz::TARGETS`, each with its longest input in bytes.
const TARGETS: [(&str, u32); 5] =
    [("safetensors", 4096), ("gguf", 2048), ("lora_keys", 1024), ("picture", 2048), ("prompt", 4096)];
const FOLDER: &str = "tests/fuzz";
/// What no input may take: seconds, and megabytes of memory in all and at once.
const BOUNDS: [&str; 3] = ["-timeout=1", "-rss_limit_mb=256", "-malloc_limit_mb=256"];

/// Options of `fuzz`.
#[derive(Args)]
pub struct Fuzz {
    /// Which one: safetensors, gguf, `lora_keys`, picture, prompt; all without
    target: Option<String>,
    /// How many inputs each of them reads
    #[arg(long, default_value_t = 10_000_000)]
    runs: u64,
}

impl Fuzz {
    /// Build the targets, run them one after the other, and keep what breaks one as a test.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let is_chosen = |(name, _): &(&str, u32)| self.target.as_deref().is_none_or(|target| target == *name);
        let chosen: Vec<_> = TARGETS.into_iter().filter(is_chosen).collect();
        if chosen.is_empty() {
            bail!("there is no such target; there are: {}", TARGETS.map(|(name, _)| name).join(", "));
        }
        build(place).await?;
        let mut broken = 0;
        for (name, longest) in chosen {
            let target = Target::new(place, name, longest)?;
            broken += usize::from(!target.run(place, self.runs).await?);
        }
        Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn cargo_fuzz(place: &Place, task: &str) -> Command {
    let mut command = place.command("cargo-fuzz");
    // The code is safe Rust, in which an address sanitizer finds nothing, and it would need another toolchain. To follow every
    // comparison would take three quarters of the time; what it finds stands in the dictionaries.
    command
        .args(["fuzz", task, "--sanitizer", "none", "--no-trace-compares", "--fuzz-dir"])
        .arg(place.root.join(FOLDER).join("targets"))
        .env("CARGO_TARGET_DIR", place.target("fuzz"));
    command
}

async fn build(place: &Place) -> Result<()> {
    CARGO_FUZZ.ensure(place, STEPS).await?;
    if on_path("c++").is_none() {
        apt::install(place, STEPS, &["g++"], "libFuzzer needs a C++ compiler, and there is no c++").await?;
    }
    let what = "the fuzz targets do not build";
    let log = place.log("fuzz-build");
    STEPS
        .run("building the fuzz targets (first time about 2 min)", quiet(&mut cargo_fuzz(place, "build"), &log, what))
        .await
}

/// A target and its folders.
struct Target {
    name: &'static str,
    /// Longest input, in bytes.
    longest: u32,
    /// All that ever reached something new.
    reached: PathBuf,
    /// What broke it, as libFuzzer wrote it.
    broke: PathBuf,
    /// What is kept as tests.
    kept: PathBuf,
}

impl Target {
    fn new(place: &Place, name: &'static str, longest: u32) -> Result<Self> {
        let folder = |part: &str| place.cache.join("fuzz").join(part).join(name);
        let target = Self {
            name,
            longest,
            reached: folder("reached"),
            broke: folder("broke"),
            kept: place.root.join(FOLDER).join("corpus").join(name),
        };
        for folder in [&target.reached, &target.broke, &target.kept] {
            fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        Ok(target)
    }

    /// Whether `runs` inputs broke nothing.
    async fn run(&self, place: &Place, runs: u64) -> Result<bool> {
        println!("{}: {runs} inputs of up to {} bytes, each within 1 s and 256 MiB", self.name, self.longest);
        let before = files(&self.broke)?;
        let dictionary = place.root.join(FOLDER).join("dictionaries").join(self.name).with_extension("dict");
        let mut fuzz = cargo_fuzz(place, "run");
        fuzz.arg(self.name).args([&self.reached, &self.kept]).arg("--").args(BOUNDS);
        fuzz.arg(format!("-runs={runs}")).arg(format!("-max_len={}", self.longest));
        fuzz.arg(format!("-dict={}", dictionary.display()));
        fuzz.arg(format!("-artifact_prefix={}/", self.broke.display()));
        let log = place.log(&format!("fuzz-{}", self.name));
        let status = watched(&mut fuzz, &log, is_told).await?;
        let new: Vec<_> = files(&self.broke)?.into_iter().filter(|file| !before.contains(file)).collect();
        for file in &new {
            let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            let kept = self.kept.join(format!("found-{}", Stamp::of_bytes(&bytes).short()));
            fs::write(&kept, bytes).with_context(|| format!("{} cannot be written", kept.display()))?;
            println!("{} breaks it; `cargo test --test corpus` reads it from now on", kept.display());
        }
        if !status.success() && new.is_empty() {
            bail!("the fuzzer stopped (see {})", log.display());
        }
        Ok(new.is_empty())
    }
}

/// Whether a line of libFuzzer's is for a reader: how far it is, how it ended, and what broke.
fn is_told(line: &str) -> bool {
    ["pulse", "INITED", "DONE", "panicked", "ERROR", "SUMMARY"].iter().any(|word| line.contains(word))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_faults_are_told_and_the_rest_is_not() {
        assert!(is_told("#1048576\tpulse  cov: 2087 ft: 4565 corp: 500/159Kb lim: 981 exec/s: 90000 rss: 30Mb"));
        assert!(is_told("thread '<unnamed>' panicked at tests/fuzz/src/prompt.rs:20:9:"));
        assert!(!is_told("#123\tREDUCE cov: 2087 ft: 4565 corp: 500/159Kb lim: 981 L: 12/981 MS: 1 EraseBytes-"));
    }
}
