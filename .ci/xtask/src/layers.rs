//! Arrows between our crates point down, and burn stays out of the page's own wasm.

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::place::Place;
use crate::process::asked;
use crate::wasm_toolchain::TARGET;

/// What each crate may depend on; `spec` is below everything and not repeated.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("playground", &["protocol", "client", "ui"]),
    ("widget", &["protocol", "client", "ui"]),
    ("ui", &[]),
    ("protocol", &[]),
    ("client", &["api"]),
    ("engine", &["protocol", "diffusion", "kernels", "weights"]),
    ("edge", &["gateway", "api"]),
    ("gateway", &["api"]),
    ("api", &[]),
    ("node", &["api", "gateway", "diffusion", "trainer", "kernels", "weights"]),
    ("trainer", &["diffusion", "kernels", "weights"]),
    ("diffusion", &["kernels", "prompt", "weights"]),
    ("kernels", &[]),
    ("prompt", &[]),
    ("weights", &[]),
    ("spec", &[]),
];
/// Crates outside the house: any arrow may leave the crates of `tests/`, none may leave the task runner.
const TESTS: [&str; 3] = ["fuzz", "golden", "tests"];
/// The one arrow into them: what the engine answers to the browser tests, in a build that is never served.
const TESTED: (&str, &str) = ("engine", "golden");
const TASK_RUNNER: &str = "xtask";

/// Crates whose wasm must not carry tensors.
const WITHOUT_BURN: [&str; 7] = ["playground", "protocol", "widget", "client", "ui", "edge", "gateway"];

/// Fail on an arrow that does not point down, and on burn where it must not be.
pub async fn check(place: &Place) -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(place.root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata cannot be read")?;
    let mut faults = wrong_arrows(&metadata);
    for package in metadata.workspace_packages() {
        if WITHOUT_BURN.contains(&package.name.as_str()) && reaches_burn(place, package).await? {
            faults.push(format!("{} reaches burn-core", package.name));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn wrong_arrows(metadata: &Metadata) -> Vec<String> {
    let packages = metadata.workspace_packages();
    let ours = |name: &str| packages.iter().any(|package| package.name.as_str() == name);
    let mut faults = Vec::new();
    for package in &packages {
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Development && ours(&dependency.name) {
                faults.extend(fault(&package.name, &dependency.name));
            }
        }
    }
    faults
}

fn fault(from: &str, to: &str) -> Option<String> {
    if TESTS.contains(&from) || (from, to) == TESTED {
        return None;
    }
    if from == TASK_RUNNER {
        return Some(format!("{from} must not depend on {to}"));
    }
    match ALLOWED.iter().find(|(name, _)| *name == from) {
        Some((_, below)) if to == "spec" || below.contains(&to) => None,
        Some(_) => Some(format!("{from} must not depend on {to}")),
        None => Some(format!("{from} is not in the table of layers")),
    }
}

async fn reaches_burn(place: &Place, package: &Package) -> Result<bool> {
    let mut tree = place.cargo();
    tree.args(["tree", "-p", &package.name, "--target", TARGET, "-e", "normal", "--prefix", "none"]);
    let said = asked(&mut tree).await.with_context(|| format!("cargo tree fails for {}", package.name))?;
    Ok(said.lines().any(|line| line.starts_with("burn-core ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down() {
        assert_eq!(fault("engine", "diffusion"), None);
        assert_eq!(fault("protocol", "spec"), None);
        assert!(fault("diffusion", "engine").is_some());
        assert!(fault("playground", "diffusion").is_some());
        assert!(fault("stranger", "spec").is_some());
        assert!(fault("xtask", "spec").is_some());
    }
}
