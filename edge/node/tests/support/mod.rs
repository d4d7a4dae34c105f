//! The program, run to its end.

use std::process::{Command, Output};

/// What it said and how it ended.
pub fn darkroom(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_darkroom")).args(arguments).output().unwrap()
}

/// What it printed; it must end well.
pub fn run(arguments: &[&str]) -> String {
    let output = darkroom(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Why it refused: exit code 1, and no panic.
pub fn refused(arguments: &[&str]) -> String {
    let output = darkroom(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}
