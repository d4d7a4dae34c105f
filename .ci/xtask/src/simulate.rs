//! `cargo xtask simulate`: many worlds in which everything goes wrong, for the gateway's policy to survive.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::place::Place;
use crate::process::{exit_code, shown};

/// Options of `simulate`.
#[derive(Args)]
pub struct Simulate {
    /// How many worlds
    #[arg(default_value_t = 10_000)]
    worlds: u64,
    /// Seed of the first, each other has the next
    #[arg(default_value_t = 0)]
    first_seed: u64,
}

impl Simulate {
    /// Build the simulation and run it.
    pub async fn run(&self, place: &Place) -> Result<ExitCode> {
        let Self { worlds, first_seed } = self;
        let mut cargo = place.cargo();
        cargo.args(["run", "--quiet", "-p", "gateway", "--example", "simulate", "--"]);
        cargo.args([worlds.to_string(), first_seed.to_string()]);
        Ok(exit_code(shown(&mut cargo).await?))
    }
}
