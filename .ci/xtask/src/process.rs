//! Child processes: each in its own group, quiet into a log or line by line to the terminal.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const LAST_LINES: usize = 25;
const PATIENCE: Duration = Duration::from_secs(4);

/// What package managers write when no server answers.
const NO_NETWORK: [&str; 10] = [
    "Could not resolve",
    "Couldn't resolve",
    "Couldn't connect",
    "Could not connect",
    "Temporary failure resolving",
    "Temporary failure in name resolution",
    "spurious network error",
    "EAI_AGAIN",
    "ENOTFOUND",
    "ECONNREFUSED",
];

/// A child and everything it starts; dropping it stops them all.
pub struct Group {
    child: Child,
    patience: Duration,
}

impl Group {
    /// Start a command in a process group of its own.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.process_group(0).spawn();
        let program = command.as_std().get_program().to_string_lossy();
        let child = child.with_context(|| format!("{program} cannot be started"))?;
        Ok(Self { child, patience: PATIENCE })
    }

    /// The same, given this long to end when it is stopped.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Wait for its end.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended in between, and then there is nothing to stop.
            kill_process_group(id, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.child.id().is_none() {
            return;
        }
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > self.patience {
                self.signal(Signal::KILL);
                break;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

/// Run with everything it prints in `log`; a failure shows the log's last lines and says `what` could not be done.
pub async fn quiet(command: &mut Command, log: &Path, what: &str) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let status = Group::spawn(command)?.wait().await?;
    if status.success() {
        return Ok(());
    }
    let said = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if NO_NETWORK.iter().any(|sign| said.contains(sign)) {
        bail!("{what}: the network cannot be reached (see {})", log.display());
    }
    bail!("{what} (see {})\n{}", log.display(), last_lines(&said));
}

/// The end of what a program said.
pub fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Run with its output in the terminal.
pub async fn shown(command: &mut Command) -> Result<ExitStatus> {
    Group::spawn(command.stdin(Stdio::null()))?.wait().await
}

/// Run with its output in the terminal, and hand each line of standard output to `line`.
pub async fn heard(command: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut group = Group::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let stdout = group.child.stdout.take().context("the child has no standard output")?;
    let mut lines = BufReader::new(stdout).split(b'\n');
    while let Some(bytes) = lines.next_segment().await? {
        let text = String::from_utf8_lossy(&bytes);
        println!("{text}");
        line(&text);
    }
    group.wait().await
}

/// Run with what it says on standard error in `log`, and the lines that are `told` in the terminal.
pub async fn watched(command: &mut Command, log: &Path, told: impl Fn(&str) -> bool) -> Result<ExitStatus> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let mut file = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let stderr = group.child.stderr.take().context("the child has no standard error")?;
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Some(bytes) = lines.next_segment().await? {
        let text = String::from_utf8_lossy(&bytes);
        writeln!(file, "{text}")?;
        if told(&text) {
            println!("{text}");
        }
    }
    group.wait().await
}

/// Run unseen, and return its standard output if it succeeds.
pub async fn asked(command: &mut Command) -> Option<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut group = Group::spawn(command).ok()?;
    let mut stdout = group.child.stdout.take()?;
    let mut said = Vec::new();
    tokio::io::copy(&mut stdout, &mut said).await.ok()?;
    let status = group.wait().await.ok()?;
    status.success().then(|| String::from_utf8_lossy(&said).into_owned())
}

/// The code that a program ended with, or failure where a signal ended it.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
