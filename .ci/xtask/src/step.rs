//! One line per step, with its time.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::Result;

/// Where the lines go.
#[derive(Clone, Copy)]
pub enum Steps {
    /// To standard output.
    Plain,
    /// To standard error, because standard output is read by a program.
    Aside,
}

impl Steps {
    /// Lines for a command with or without `--json`.
    pub fn for_json(json: bool) -> Self {
        if json { Self::Aside } else { Self::Plain }
    }

    /// Do `work` under `name`, and write how long it took or that it failed.
    pub async fn run<T>(self, name: impl Display, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.write(&format!("{name}… "));
        let start = Instant::now();
        let result = work.await;
        match &result {
            Ok(_) => self.write(&format!("{:.1} s\n", start.elapsed().as_secs_f64())),
            Err(_) => self.write("failed\n"),
        }
        result
    }

    /// Write a line that is no step.
    pub fn note(self, text: impl Display) {
        self.write(&format!("{text}\n"));
    }

    fn write(self, text: &str) {
        // A reader that went away must not stop the work.
        match self {
            Self::Plain => {
                let mut out = io::stdout();
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
            }
            Self::Aside => {
                let mut out = io::stderr();
                out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
            }
        }
    }
}
