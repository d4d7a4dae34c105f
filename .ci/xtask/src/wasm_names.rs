//! A WebAssembly file without the names of its functions: a fifth of the engine's bytes, and of use to nobody who visits.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::place::Place;
use crate::wasm_opt::wasm_files;

/// Custom sections that only debuggers read.
const DROPPED: [&[u8]; 2] = [b"name", b"producers"];
/// What the linker calls an export that runs every constructor first.
const CONSTRUCTING: &[u8] = b".command_export";
/// Magic number and version.
const HEADER: usize = 8;

/// Drop them from every file of the served folder.
pub fn strip(place: &Place) -> Result<()> {
    for file in wasm_files(&place.dist())? {
        let bytes = fs::read(&file)?;
        let stripped = without_names(&bytes).with_context(|| format!("{} is no WebAssembly", file.display()))?;
        fs::write(&file, stripped).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

/// Sections are a number, a length and that many bytes; custom ones, of number 0, begin with their name (WebAssembly core
/// specification, section 5.5).
fn without_names(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut kept = bytes.get(..HEADER).context("it is shorter than its header")?.to_vec();
    let mut at = HEADER;
    while at < bytes.len() {
        let (length, body) = number(bytes, at + 1)?;
        let end = body.checked_add(length).filter(|&end| end <= bytes.len()).context("a section runs over its end")?;
        let is_dropped = bytes[at] == 0 && {
            let (length, start) = number(bytes, body)?;
            bytes.get(start..start + length).is_some_and(|name| DROPPED.contains(&name))
        };
        if is_dropped && bytes[body..end].windows(CONSTRUCTING.len()).any(|part| part == CONSTRUCTING) {
            bail!("its exports run every constructor at each call: have `main` call `__wasm_call_ctors` once");
        }
        if !is_dropped {
            kept.extend_from_slice(&bytes[at..end]);
        }
        at = end;
    }
    Ok(kept)
}

/// An unsigned LEB128 number of 32 bits, and where it ends.
fn number(bytes: &[u8], mut at: usize) -> Result<(usize, usize)> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(at).context("it ends within a number")?;
        value |= usize::from(byte & 0x7F) << shift;
        at += 1;
        if byte < 0x80 {
            return Ok((value, at));
        }
    }
    bail!("a number has more than 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_and_everything_else_stays() {
        let header = [0, b'a', b's', b'm', 1, 0, 0, 0];
        let names = [0, 6, 4, b'n', b'a', b'm', b'e', 9];
        let (other, code) = ([0, 3, 1, b'x', 7], [10, 2, 1, 0]);
        let file = [&header[..], &names, &other, &code].concat();
        assert_eq!(without_names(&file).unwrap(), [&header[..], &other, &code].concat());
        assert!(without_names(&file[..file.len() - 1]).is_err());
        assert!(without_names(b"asm").is_err());
        let named = [&[0, 20, 4][..], b"name", CONSTRUCTING].concat();
        let error = without_names(&[&header[..], &named].concat()).unwrap_err().to_string();
        assert!(error.contains("constructor"), "{error}");
    }
}
