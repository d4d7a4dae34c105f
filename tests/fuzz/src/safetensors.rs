//! The header of safetensors.

use crate::source::{Sparse, exhaust, tell};
use weights::{ReadAt, SafetensorsFile, sniff};

/// Reads the bytes as a file, and as a header in a file that is as long as the header says.
pub fn safetensors(data: &[u8]) {
    read(&data, data.len() as u64);
    if let Err(error) = sniff(data) {
        tell(&error);
    }
    let head = [&(data.len() as u64).to_le_bytes(), data].concat();
    let len = (head.len() as u64).saturating_add(claimed(data));
    read(&Sparse { head: &head, len }, len);
}

fn read(reader: &impl ReadAt, len: u64) {
    match SafetensorsFile::open(reader) {
        Ok(file) => exhaust(&file, len),
        Err(error) => tell(&error),
    }
}

/// The greatest number that ends a list: where the last tensor ends.
fn claimed(header: &[u8]) -> u64 {
    let lists = header.split(|byte| *byte == b']');
    let number = |list: &[u8]| {
        let digits = list.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&list[list.len() - digits..]).ok()?.parse().ok()
    };
    lists.filter_map(number).max().unwrap_or(0)
}
