//! GGUF.

use crate::source::{Sparse, exhaust, tell};
use weights::{GgufFile, ReadAt, TensorSource as _, sniff};

/// What lies behind the bytes where they are only a file's beginning.
const BEHIND: u64 = 1 << 30;

/// Reads the bytes as a file, and as the beginning of a long one.
pub fn gguf(data: &[u8]) {
    read(&data, data.len() as u64);
    if let Err(error) = sniff(data) {
        tell(&error);
    }
    let len = data.len() as u64 + BEHIND;
    read(&Sparse { head: data, len }, len);
}

fn read(reader: &impl ReadAt, len: u64) {
    match GgufFile::open(reader) {
        Ok(file) => {
            exhaust(&file, len);
            for tensor in file.unsupported() {
                assert!(file.read(&tensor.name).is_err(), "{} is not read", tensor.name);
            }
        }
        Err(error) => tell(&error),
    }
}
