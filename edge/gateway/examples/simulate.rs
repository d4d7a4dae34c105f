//! Runs many worlds of the simulation: `simulate [WORLDS] [FIRST_SEED]`; a violation names the seed that plays it again.

use gateway::simulation::{Summary, run};
use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let mut numbers = env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(worlds), Ok(first)) = (numbers.next().unwrap_or(Ok(10_000)), numbers.next().unwrap_or(Ok(0))) else {
        eprintln!("simulate [WORLDS] [FIRST_SEED]: both are whole numbers");
        return ExitCode::FAILURE;
    };
    let mut total = Summary::default();
    for seed in first..first.saturating_add(worlds) {
        match run(seed) {
            Ok(summary) => total += summary,
            Err(violation) => {
                println!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{worlds} worlds, no violation: {total:?}");
    ExitCode::SUCCESS
}
