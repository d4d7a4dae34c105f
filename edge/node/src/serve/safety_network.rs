//! The network that judges, on a thread of its own: a model is used by one thread at a time, and a panic ends no more than it.

use super::checker::{CheckError, Checker};
use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::{
    picture::Picture,
    safety::{SafetyChecker, SafetyFiles, Verdict},
};
use std::{
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

type Judged = Result<Verdict, diffusion::safety::CheckError>;

/// A picture, and where its verdict is awaited.
struct Question {
    picture: Picture,
    answer: Sender<Judged>,
}

/// The thread, from outside.
pub struct SafetyNetwork {
    questions: Sender<Question>,
    bytes: u64,
}

impl SafetyNetwork {
    /// Loads the checker in a folder; a node that was asked to judge and cannot must not start.
    pub fn start(folder: &Path, device: &Device) -> Result<Self> {
        let (questions, inbox) = channel();
        let (loaded, bytes) = channel();
        let (owned, device) = (folder.to_owned(), device.clone());
        thread::Builder::new().name("checker".to_owned()).spawn(move || match load(&owned, &device) {
            Ok(checker) => {
                loaded.send(Ok(checker.device_bytes())).ok();
                judge_all(&checker, &inbox);
            }
            Err(error) => {
                loaded.send(Err(error)).ok();
            }
        })?;
        let bytes = bytes.recv().context("loading it broke off").and_then(|loaded| loaded);
        let bytes = bytes.with_context(|| format!("could not load the safety checker in {}", folder.display()))?;
        Ok(Self { questions, bytes })
    }

    /// Bytes of its weights on the device.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn load(folder: &Path, device: &Device) -> Result<SafetyChecker> {
    Ok(SafetyChecker::load(&SafetyFiles::open(folder)?, device)?)
}

/// Answers until nobody can ask any more.
fn judge_all(checker: &SafetyChecker, inbox: &Receiver<Question>) {
    for Question { picture, answer } in inbox {
        // Whoever no longer waits has flagged the picture.
        answer.send(pollster::block_on(checker.judge(&picture))).ok();
    }
}

impl Checker for SafetyNetwork {
    fn score(&self, picture: &Picture) -> Result<f32, CheckError> {
        let (answer, verdict) = channel();
        // Both fail where a panic has ended the thread: from then on every picture is flagged.
        self.questions.send(Question { picture: picture.clone(), answer }).map_err(|_| CheckError::Panicked)?;
        let judged = verdict.recv().map_err(|_| CheckError::Panicked)?;
        judged.map(Verdict::score).map_err(|error| CheckError::Network(Box::new(error)))
    }
}
