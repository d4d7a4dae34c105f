//! Pinned cargo tools, built from source into the cache.

use std::fs;

use anyhow::Result;

use crate::apt;
use crate::place::Place;
use crate::process::{asked, quiet};
use crate::step::Steps;

/// A program that cargo installs.
pub struct Tool {
    krate: &'static str,
    version: &'static str,
    program: &'static str,
    /// Only what is run on large inputs is worth optimising.
    opt_level: &'static str,
    features: &'static [&'static str],
    minutes: u32,
    /// A C library that it links, as pkg-config calls it, and Debian's packages of that.
    library: Option<(&'static str, &'static [&'static str])>,
}

/// Makes the JavaScript side of a wasm file; the same version as the `wasm-bindgen` crate, or it refuses the file.
pub const WASM_BINDGEN: Tool = Tool {
    krate: "wasm-bindgen-cli",
    version: "0.2.130",
    program: "wasm-bindgen",
    opt_level: "2",
    features: &["--no-default-features"],
    minutes: 2,
    library: None,
};

/// Builds the page.
pub const TRUNK: Tool = Tool {
    krate: "trunk",
    version: "0.21.14",
    program: "trunk",
    opt_level: "0",
    features: &["--no-default-features"],
    minutes: 5,
    library: None,
};

/// Builds the edge: calls cargo and wasm-bindgen, and adds what the Workers runtime calls.
pub const WORKER_BUILD: Tool = Tool {
    krate: "worker-build",
    version: "0.8.7",
    program: "worker-build",
    opt_level: "0",
    features: &["--bin", "worker-build"],
    minutes: 3,
    // For downloads that it is kept from, but it does not build without.
    library: Some(("openssl", &["libssl-dev", "pkg-config"])),
};

/// Licences, bans and advisories.
pub const CARGO_DENY: Tool = Tool {
    krate: "cargo-deny",
    version: "0.20.2",
    program: "cargo-deny",
    opt_level: "1",
    features: &[],
    minutes: 5,
    library: None,
};

/// Dependencies nobody uses.
pub const CARGO_MACHETE: Tool = Tool {
    krate: "cargo-machete",
    version: "0.9.2",
    program: "cargo-machete",
    opt_level: "1",
    features: &[],
    minutes: 1,
    library: None,
};

/// Builds and runs fuzz targets.
pub const CARGO_FUZZ: Tool = Tool {
    krate: "cargo-fuzz",
    version: "0.13.2",
    program: "cargo-fuzz",
    opt_level: "0",
    features: &[],
    minutes: 1,
    library: None,
};

impl Tool {
    /// Install it unless this very version is there.
    pub async fn ensure(&self, place: &Place, steps: Steps) -> Result<()> {
        let Self { krate, version, program, opt_level, features, minutes, library } = self;
        let root = place.tools();
        let listed = fs::read_to_string(root.join(".crates.toml")).unwrap_or_default();
        if listed.contains(&format!("\"{krate} {version} (")) && root.join("bin").join(program).is_file() {
            return Ok(());
        }
        if let Some((library, packages)) = library
            && asked(place.command("pkg-config").args(["--exists", library])).await.is_none()
        {
            apt::install(place, steps, packages, &format!("{krate} needs the C library {library}")).await?;
        }
        fs::create_dir_all(&root)?;
        let install = |locked: Option<&str>| {
            let mut install = place.command("cargo");
            install
                .current_dir(&root)
                .args(["install", krate, "--version", version, "--root"])
                .arg(&root)
                .args(*features)
                .args(locked)
                .env("CARGO_TARGET_DIR", place.target("tools"))
                .env("CARGO_PROFILE_RELEASE_LTO", "false")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level);
            install
        };
        let log = place.log(krate);
        let what = format!("{krate} {version} cannot be installed");
        let both = async {
            let locked = quiet(&mut install(Some("--locked")), &log, &what).await;
            // A mirror that is behind may lack a version that the tool's own lock file names.
            match locked {
                Err(error) if format!("{error}").contains("failed to select a version") => {
                    quiet(&mut install(None), &log, &what).await
                }
                outcome => outcome,
            }
        };
        steps.run(format!("installing {krate} {version} (about {minutes} min)"), both).await?;
        // Gigabytes that no other tool would reuse; a leftover harms nobody.
        fs::remove_dir_all(place.target("tools")).ok();
        Ok(())
    }
}
