//! Everything that the fuzzer has found, and what it began with, read again.

#![expect(clippy::unwrap_used, reason = "a failure in a test is reported by its panic")]

#[path = "../../../kernels/weights/tests/hostile/counting.rs"]
mod counting;

use counting::{alone, extra_memory};
use std::{fs, path::Path};

/// What no input may take: the largest header of a long file.
const BOUND: usize = 32 << 20;
/// A corpus that grows beyond this is minimised before it is kept.
const LARGEST_CORPUS: u64 = 200_000;

fn replay(target: &str) {
    let _alone = alone();
    let (_, call) = fuzz::TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::read(&path).unwrap();
        // A panic does not say what was read.
        println!("{}", path.display());
        let ((), extra) = extra_memory(|| call(&data));
        assert!(extra <= BOUND, "{} takes {extra} bytes", path.display());
        count += 1;
    }
    assert!(count >= 5, "{count} files");
}

#[test]
fn every_safetensors_header_is_read_or_refused() {
    replay("safetensors");
}

#[test]
fn every_gguf_is_read_or_refused() {
    replay("gguf");
}

#[test]
fn every_key_of_a_lora_is_read_or_ignored() {
    replay("lora_keys");
}

#[test]
fn every_pictures_metadata_is_read_or_refused() {
    replay("picture");
}

#[test]
fn every_prompt_is_read_or_refused() {
    replay("prompt");
}

#[test]
fn the_corpus_is_small() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    let bytes: u64 = files.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= LARGEST_CORPUS, "{bytes} bytes");
}
