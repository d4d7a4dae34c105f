//! `darkroom`: Stable Diffusion on the command line, and a node of the service.
//!
//! One file for each command. What a user may set is parsed into the types of the crate `spec` at once, so that a command
//! sees no invalid value; every failure is one sentence on standard error and exit code 1, and Ctrl-C is exit code 130.

mod convert;
mod demo_score;
mod device;
mod digest;
mod family;
mod generate;
mod init_image;
mod inspect;
mod interrupt;
mod judge;
mod latents;
mod model;
mod output;
mod parse;
mod progress;
mod pull;
mod random_model;
mod serve;
mod train;
mod upscale;
mod vocabulary;

use anyhow::Result;
use clap::{Parser, Subcommand};
use diffusion::pipeline::GenerateError;
use std::process::ExitCode;

/// Stable Diffusion on burn.
#[derive(Debug, Parser)]
#[command(name = "darkroom", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw pictures
    Generate(Box<generate::Generate>),
    /// List what is in a model, or the parameters of a picture
    Inspect(inspect::Inspect),
    /// Store a model in another container and kind
    Convert(convert::Convert),
    /// Enlarge a picture by a network
    Upscale(upscale::Upscale),
    /// Fetch a model from a repository of the Hub, or of a server like it
    Pull(pull::Pull),
    /// List the models that were pulled, or remove one
    Models(pull::Models),
    /// Work for an edge: ask it for jobs and hand in their pictures
    Serve(Box<serve::Serve>),
    /// Train a model
    #[command(subcommand)]
    Train(train::Train),
    /// Make a model of real shapes with random weights, to measure and test with
    #[command(hide = true)]
    RandomModel(random_model::RandomModel),
    /// Draw what the demo model was never trained on, and judge it
    DemoScore(demo_score::DemoScore),
    /// Say what is in one of the demo model's pictures
    Judge(judge::JudgePicture),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to say where even this cannot be printed.
            error.print().ok();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("darkroom: {error:#}");
            match error.downcast_ref() {
                Some(GenerateError::Cancelled) => ExitCode::from(interrupt::EXIT_CODE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Generate(generate) => generate.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Convert(convert) => convert.run(),
        Command::Upscale(upscale) => upscale.run(),
        Command::Pull(pull) => pull.run(),
        Command::Models(models) => models.run(),
        Command::Serve(serve) => serve.run(),
        Command::Train(train) => train.run(),
        Command::RandomModel(model) => model.run(),
        Command::DemoScore(score) => score.run(),
        Command::Judge(judge) => judge.run(),
    }
}
