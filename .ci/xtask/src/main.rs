//! The task runner behind `cargo xtask`.
//!
//! Everything a developer or a CI machine does goes through here, so that both do the same. Tools are built once, in
//! pinned versions, into a cache outside the checkout (see [`place`]); what belongs to the checkout stays in `target`.
//!
//! Every child runs in a process group of its own and dies with the command that started it: dropping a future stops
//! what it waits for, and a signal drops the whole command.

mod apt;
mod bench;
mod boot;
mod browser;
mod check;
mod dist;
mod edge;
mod full_size;
mod fuzz;
mod golden;
mod http;
mod layers;
mod npm;
mod onnx;
mod openapi;
mod place;
mod process;
mod python;
mod serve;
mod service;
mod simulate;
mod size;
mod stack;
mod stamp;
mod step;
mod style;
mod tally;
mod test;
mod tools;
mod up;
mod wasm_names;
mod wasm_opt;
mod wasm_toolchain;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::place::Place;

/// Developer tasks of Darkroom
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything, start the edge and a node, and print the address and a key
    Up(up::Up),
    /// Run all tests: native, over HTTP, in a browser
    Test(test::Test),
    /// Build the Worker and the page for deployment
    Edge,
    /// Write static/openapi.json and static/postman.json anew
    Openapi,
    /// Format, style, layers, licences, lints, sizes
    Check,
    /// Run a bench, or all of them
    Bench(bench::Bench),
    /// Feed any bytes to everything that reads what strangers wrote
    Fuzz(fuzz::Fuzz),
    /// Judge the shipped demo model's pictures
    DemoScore(bench::DemoScore),
    /// Run the gateway's policy in many worlds in which everything goes wrong
    Simulate(simulate::Simulate),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { task } = Cli::parse();
    // A server that is told to stop has done its work; anything else was cut short.
    let stopped = if matches!(task, Task::Up(_)) { ExitCode::SUCCESS } else { ExitCode::from(130) };
    let outcome = tokio::select! {
        outcome = run(task) => outcome,
        outcome = stop_signal() => match outcome {
            Ok(()) => return stopped,
            Err(error) => Err(error),
        },
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(task: Task) -> Result<ExitCode> {
    let place = Place::find()?;
    match task {
        Task::Up(up) => up.run(&place).await,
        Task::Test(test) => test.run(&place).await,
        Task::Edge => edge::run(&place).await,
        Task::Openapi => openapi::run(&place).await,
        Task::Check => check::run(&place).await,
        Task::Bench(bench) => bench.run(&place).await,
        Task::Fuzz(fuzz) => fuzz.run(&place).await,
        Task::DemoScore(score) => score.run(&place).await,
        Task::Simulate(simulate) => simulate.run(&place).await,
    }
}

async fn stop_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
