//! The program as it is started on a node.

use crate::stub::{Stub, TOKEN};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Part of every prompt here, must not be in any log.
pub const SECRET: &str = "planted-prompt-77ab";
/// Longest that a test waits for something that should happen.
const PATIENCE: Duration = Duration::from_mins(4);

/// The shipped models.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../static/models")
}

/// A running node; what it logs is searched for secrets when the test is over.
pub struct Node {
    child: Child,
    folder: TempDir,
}

impl Node {
    /// A node with the demo model on the CPU.
    pub fn start(stub: &Stub, slots: u32) -> Self {
        Self::start_with(stub, slots, &[])
    }

    /// The same, with more arguments.
    pub fn start_with(stub: &Stub, slots: u32, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let log = File::create(folder.path().join("log")).expect("a file can be made");
        let child = Command::new(env!("CARGO_BIN_EXE_darkroom"))
            .args([
                "serve",
                "--device",
                "cpu",
                "--name",
                "test",
                "--http",
                "127.0.0.1:0",
                "--slots",
                &slots.to_string(),
            ])
            .args(more)
            .env("DARKROOM_EDGE", stub.url())
            .env("DARKROOM_TOKEN", TOKEN)
            .env("DARKROOM_MODELS", models())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program can be started");
        Self { child, folder }
    }

    /// Everything that it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The lines that have this message, as JSON.
    pub fn lines(&self, message: &str) -> Vec<serde_json::Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Waits until it logged this message `count` times or more.
    pub fn wait_for_lines(&self, message: &str, count: usize) {
        until(&format!("{count} × \"{message}\""), || (self.lines(message).len() >= count).then_some(()));
    }

    /// Status and body of a page of its own face.
    pub fn get(&self, path: &str) -> (u16, String) {
        let address = until("the face", || Some(self.lines("listening").first()?["address"].as_str()?.to_owned()));
        let mut stream = TcpStream::connect(address).expect("the face answers");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n").expect("a request is short");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer is text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// Waits until `/readyz` says this.
    pub fn wait_for_state(&self, state: &str) -> u16 {
        until(&format!("the state {state}"), || {
            let (status, body) = self.get("/readyz");
            body.contains(&format!("\"{state}\"")).then_some(status)
        })
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
    }

    /// Waits until it ended, and gives its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        until("the end of the program", || self.child.try_wait().expect("it was started here")).code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("{log}");
            return;
        }
        for secret in [TOKEN, SECRET] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        for line in log.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
        }
    }
}

/// Waits until something is there.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let mut look = look;
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not happen");
        sleep(Duration::from_millis(10));
    }
}
