//! Files made to break their reader: each is refused, and none makes it allocate more than 32 MiB.

#![expect(clippy::unwrap_used, reason = "a failure in a test is reported by its panic")]

mod counting;
mod gguf_cases;
mod safetensors_cases;

use std::io;

use counting::{alone, extra_memory};
use weights::{GgufFile, ReadAt, SafetensorsFile, TensorSource as _, WeightsError, open};

const BOUND: usize = 32 << 20;

/// A few bytes at the start of a file that claims to be much longer and is zero there.
struct Sparse {
    head: Vec<u8>,
    len: u64,
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (index, byte) in buf.iter_mut().enumerate() {
            *byte = usize::try_from(offset).ok().and_then(|at| self.head.get(at + index)).copied().unwrap_or(0);
        }
        Ok(())
    }
}

/// An error and its causes in one line.
fn whole_message(error: &dyn std::error::Error) -> String {
    let causes: Vec<_> = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}

/// Refuse `cases` through `open`, each within the bound.
fn refuse<E: std::error::Error>(cases: Vec<(&str, Vec<u8>)>, open: impl Fn(&[u8]) -> Result<(), E>) {
    let mut faults = Vec::new();
    for (case, file) in cases {
        let (answer, extra) = extra_memory(|| open(&file));
        match answer {
            Ok(()) => faults.push(format!("{case}: accepted")),
            Err(error) if whole_message(&error).len() > 1000 => faults.push(format!("{case}: a message without end")),
            Err(_) if extra > BOUND => faults.push(format!("{case}: took {extra} bytes")),
            Err(_) => {}
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn hostile_safetensors_are_refused() {
    let _alone = alone();
    let cases = safetensors_cases::cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    refuse(cases, |file| SafetensorsFile::open(file).map(drop));
}

#[test]
fn hostile_gguf_is_refused() {
    let _alone = alone();
    let cases = gguf_cases::cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    refuse(cases, |file| GgufFile::open(file).map(drop));
}

#[test]
fn the_safetensors_crate_alone_would_accept_eight_of_them() {
    let _alone = alone();
    let accepted: Vec<_> = safetensors_cases::cases()
        .into_iter()
        .filter(|(_, file)| safetensors::SafeTensors::deserialize(file).is_ok())
        .map(|(case, _)| case)
        .collect();
    assert!(accepted.len() >= 8, "{accepted:?}");
}

#[test]
fn the_harmless_files_that_the_cases_start_from_are_accepted() {
    let _alone = alone();
    let file = safetensors_cases::harmless();
    assert_eq!(SafetensorsFile::open(file).unwrap().tensors().len(), 2);
    assert_eq!(GgufFile::open(gguf_cases::harmless()).unwrap().tensors().len(), 2);
}

#[test]
fn truncated_safetensors_are_refused_at_every_byte() {
    let _alone = alone();
    let file = safetensors_cases::four_kibibytes();
    assert!((3500..5000).contains(&file.len()), "{}", file.len());
    SafetensorsFile::open(file.as_slice()).unwrap();
    for len in 0..file.len() {
        assert!(SafetensorsFile::open(&file[..len]).is_err(), "cut after {len}");
    }
}

#[test]
fn truncated_gguf_is_refused_at_every_byte() {
    let _alone = alone();
    let file = gguf_cases::four_kibibytes();
    assert!((3500..5000).contains(&file.len()), "{}", file.len());
    GgufFile::open(file.as_slice()).unwrap();
    for len in 0..file.len() {
        assert!(GgufFile::open(&file[..len]).is_err(), "cut after {len}");
    }
}

#[test]
fn lengths_that_a_huge_file_makes_plausible_are_not_allocated() {
    let _alone = alone();
    let len = 1 << 50;
    for (case, head) in gguf_cases::huge() {
        let (answer, extra) = extra_memory(|| GgufFile::open(Sparse { head, len }).map(drop));
        assert!(answer.is_err(), "{case}");
        assert!(extra <= BOUND, "{case}: {extra}");
    }
    for (case, head) in safetensors_cases::huge() {
        let (answer, extra) = extra_memory(|| SafetensorsFile::open(Sparse { head, len }).map(drop));
        assert!(answer.is_err(), "{case}");
        assert!(extra <= BOUND, "{case}: {extra}");
    }
}

#[test]
fn the_largest_headers_that_are_accepted_stay_within_the_bound() {
    let _alone = alone();
    let file = safetensors_cases::largest();
    let (answer, extra) = extra_memory(|| SafetensorsFile::open(file.as_slice()).map(drop));
    answer.unwrap();
    assert!(extra <= BOUND, "safetensors: {extra}");
    for (case, file) in gguf_cases::largest() {
        let (answer, extra) = extra_memory(|| GgufFile::open(file.as_slice()).map(drop));
        answer.unwrap();
        assert!(extra <= BOUND, "{case}: {extra}");
    }
}

#[test]
fn a_tensor_that_memory_cannot_hold_is_an_error() {
    let _alone = alone();
    let bytes = 1u64 << 62;
    let header = format!(r#"{{"t":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let head = safetensors_cases::file(&header, 0);
    let len = head.len() as u64 + bytes;
    let source = open(Box::new(Sparse { head, len })).unwrap();
    let (answer, extra) = extra_memory(|| source.read("t"));
    assert!(matches!(answer, Err(WeightsError::TensorMemory { .. })));
    assert!(extra <= BOUND, "{extra}");
}

#[test]
fn pickles_and_strangers_are_refused_by_name() {
    let _alone = alone();
    for start in [
        &b"PK\x03\x04rest of a zip"[..],
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19",
        b"\x80\x04\x95",
        b"\x80\x02}q\x00(X\x01{",
    ] {
        let error = open(Box::new(start.to_vec())).err().unwrap();
        assert!(matches!(error, WeightsError::Pickle), "{error}");
        assert!(error.to_string().contains("safetensors.torch"), "{error}");
    }
    for start in [&b""[..], b"G", b"<!DOCTYPE html>", b"version https://git-lfs", b"\x80\x01abc", b"\x93NUMPY"] {
        let error = open(Box::new(start.to_vec())).err().unwrap();
        assert!(matches!(error, WeightsError::UnknownFormat { .. }), "{error}");
    }
    // A header of 0x0280 bytes begins like a pickle of protocol 2.
    let header = format!("{{{}}}", " ".repeat(0x27e));
    assert_eq!(open(Box::new(safetensors_cases::file(&header, 0))).unwrap().tensors().len(), 0);
}
