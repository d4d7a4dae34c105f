//! OpenAI's vocabulary of CLIP, for models in files that carry none.
//!
//! Only the merges are stored. The table of tokens follows from them: every byte, every byte at a word's end, what each merge
//! makes, and two marks (Radford et al., 2021; MIT licence).

use anyhow::{Context as _, Result};
use diffusion::checkpoint::Vocabulary;
use flate2::read::GzDecoder;
use std::{fs, io::Read as _, path::Path};

const MERGES: &[u8] = include_bytes!("vocabulary/merges.txt.gz");

/// The vocabulary that is built in.
pub fn built_in() -> Result<Vocabulary> {
    let mut merges = String::new();
    GzDecoder::new(MERGES).read_to_string(&mut merges).context("the vocabulary that is built in is damaged")?;
    let vocab = serde_json::to_string(&table(&merges))?;
    Ok(Vocabulary { vocab, merges })
}

/// The vocabulary in a folder with `vocab.json` and `merges.txt`.
pub fn in_folder(folder: &Path) -> Result<Vocabulary> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    };
    Ok(Vocabulary { vocab: read("vocab.json")?, merges: read("merges.txt")? })
}

/// From token to id.
fn table(merges: &str) -> serde_json::Map<String, serde_json::Value> {
    let bytes = byte_characters();
    let plain = bytes.iter().map(ToString::to_string);
    let ends = bytes.iter().map(|character| format!("{character}</w>"));
    let merged = merges.lines().skip(1).filter(|line| !line.is_empty()).map(|line| line.replacen(' ', "", 1));
    let marks = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    plain.chain(ends).chain(merged).chain(marks).enumerate().map(|(id, token)| (token, id.into())).collect()
}

/// The characters that stand for bytes: printable ones for themselves and first, the others moved behind Latin-1.
fn byte_characters() -> Vec<char> {
    let printable = || (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff);
    let others = (0..=u8::MAX).filter(|byte| !printable().any(|other| other == *byte));
    let moved = others.enumerate().filter_map(|(index, _)| char::from_u32(256 + index as u32));
    printable().map(char::from).chain(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_from_the_merges() {
        let Vocabulary { vocab, merges } = built_in().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data/tokenizer");
        let given = in_folder(&folder).unwrap();
        assert_eq!(merges, given.merges);
        let table = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap();
        assert_eq!(table(&vocab), table(&given.vocab));
    }
}
