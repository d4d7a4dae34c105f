//! Programs that run for as long as this one: started, and started again when they end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;
use tokio::time::sleep;

use crate::place::{Place, on_path};
use crate::process::{Group, last_lines};

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A program that ran this long has not failed at its start.
const STEADY: Duration = Duration::from_secs(30);

/// A program and how it is started.
pub struct Service {
    /// For people.
    pub name: &'static str,
    command: Box<dyn Fn() -> Command>,
    log: PathBuf,
    grace: Duration,
    running: Option<Group>,
    since: Instant,
    pause: Duration,
}

impl Service {
    /// A program whose output goes to `log`, and that has `grace` to end when it is asked to.
    pub fn new(name: &'static str, log: PathBuf, grace: Duration, command: impl Fn() -> Command + 'static) -> Self {
        let command = Box::new(command);
        Self { name, command, log, grace, running: None, since: Instant::now(), pause: SHORTEST_PAUSE }
    }

    /// Start it with an empty log.
    pub fn start(&mut self) -> Result<()> {
        if let Some(folder) = self.log.parent() {
            fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        self.spawn(File::create(&self.log))
    }

    fn spawn(&mut self, log: std::io::Result<File>) -> Result<()> {
        let log = log.with_context(|| format!("{} cannot be written", self.log.display()))?;
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.running = Some(Group::spawn(&mut command)?.with_patience(self.grace));
        self.since = Instant::now();
        Ok(())
    }

    /// Wait for its end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        match &mut self.running {
            Some(group) => group.wait().await,
            None => bail!("{} does not run", self.name),
        }
    }

    /// Wait until `is_ready`, or fail with the end of its log when it ends before.
    pub async fn ready(&mut self, within: Duration, mut is_ready: impl AsyncFnMut() -> bool) -> Result<()> {
        let (name, log) = (self.name, self.log.clone());
        let answered = async {
            while !is_ready().await {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let what = tokio::select! {
            status = self.ended() => format!("{name} ended with {}", status?),
            () = answered => return Ok(()),
            () = sleep(within) => format!("{name} was not ready after {} s", within.as_secs()),
        };
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!("{what} (see {})\n{}", log.display(), last_lines(&said));
    }

    /// Start it again after a pause, which grows as long as it ends early.
    pub async fn start_again(&mut self) -> Result<()> {
        let steady = self.since.elapsed() > STEADY;
        self.pause = if steady { SHORTEST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        sleep(self.pause).await;
        let log = File::options().append(true).create(true).open(&self.log);
        self.spawn(log)
    }
}

/// A command that is asked to end when this process is killed, where the system can do that.
pub fn leashed(place: &Place, program: impl AsRef<Path>) -> Command {
    if on_path("setpriv").is_none() {
        return place.command(program);
    }
    let mut command = place.command("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program.as_ref());
    command
}
