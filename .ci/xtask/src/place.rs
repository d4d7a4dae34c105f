//! Where things live: the checkout, and the cache that all checkouts share.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

/// The checkout and the cache.
#[derive(Clone)]
pub struct Place {
    /// Top of the checkout.
    pub root: PathBuf,
    /// `$XDG_CACHE_HOME/darkroom`, else `~/.cache/darkroom`.
    pub cache: PathBuf,
}

impl Place {
    /// Look upwards from the current folder for the checkout.
    pub fn find() -> Result<Self> {
        let here = env::current_dir().context("the current folder cannot be read")?;
        let root = here
            .ancestors()
            .find(|folder| folder.join("Trunk.toml").is_file())
            .context("run this inside the checkout: no Trunk.toml here or above")?
            .to_path_buf();
        let cache = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
            Some(cache) => PathBuf::from(cache),
            None => env::home_dir().context("neither XDG_CACHE_HOME nor HOME is set")?.join(".cache"),
        }
        .join("darkroom");
        Ok(Self { root, cache })
    }

    /// Where `cargo install` puts the pinned tools.
    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Where the pinned npm packages are installed.
    pub fn npm(&self) -> PathBuf {
        self.cache.join("npm")
    }

    /// One cargo target folder per toolchain, so that none rebuilds or locks out another.
    pub fn target(&self, name: &str) -> PathBuf {
        self.cache.join("target").join(name)
    }

    /// Trunk's output, which is served.
    pub fn dist(&self) -> PathBuf {
        self.root.join("target/dist")
    }

    /// The built Worker.
    pub fn worker(&self) -> PathBuf {
        self.root.join("target/edge")
    }

    /// The command-line program as `cargo build` makes it.
    pub fn darkroom(&self) -> PathBuf {
        self.target("native/debug/darkroom")
    }

    /// What a quiet step wrote.
    pub fn log(&self, name: &str) -> PathBuf {
        self.cache.join("log").join(format!("{name}.log"))
    }

    /// A command in the checkout, with the pinned tools first on its `PATH`.
    ///
    /// What `cargo run` left in the environment is taken out: it describes this crate, and would make a child build
    /// differ from the same build started by hand.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        let ours = [self.tools().join("bin"), self.npm().join("node_modules/.bin")];
        let theirs = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(ours.into_iter().chain(env::split_paths(&theirs)));
        command.env("PATH", path.unwrap_or(theirs));
        command
    }

    /// `cargo`, building into the native target folder.
    pub fn cargo(&self) -> Command {
        let mut command = self.command("cargo");
        command.env("CARGO_TARGET_DIR", self.target("native"));
        command
    }
}

/// Whether a program of this name is on the `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
