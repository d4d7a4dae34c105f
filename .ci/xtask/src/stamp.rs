//! A hash of input files, kept beside an output so that it is not made again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// The hash of some files and folders, in hexadecimal.
#[derive(Debug, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// Hash what lies under `names`, paths included; what does not exist counts as empty.
    pub fn of(root: &Path, names: &[&str]) -> Result<Self> {
        let mut files = Vec::new();
        for name in names {
            collect(&root.join(name), &mut files)?;
        }
        files.sort();
        let mut hasher = Sha256::new();
        for file in &files {
            let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            let name = file.strip_prefix(root).unwrap_or(file);
            hasher.update(name.to_string_lossy().as_bytes());
            hasher.update([0]);
            hasher.update(Sha256::digest(&bytes));
        }
        Ok(Self(hex(&hasher.finalize())))
    }

    /// Hash one piece of data.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The first 16 digits, for a file name.
    pub fn short(&self) -> &str {
        &self.0[..16]
    }

    /// The same stamp, made different by `more`.
    pub fn with(&self, more: &str) -> Self {
        Self::of_bytes(format!("{} {more}", self.0).as_bytes())
    }

    /// Whether `file` holds this stamp.
    pub fn is_in(&self, file: &Path) -> bool {
        fs::read_to_string(file).is_ok_and(|text| text.trim() == self.0)
    }

    /// Write it to `file`.
    pub fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, &self.0).with_context(|| format!("{} cannot be written", file.display()))
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
    } else if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_str(), Some("target" | "node_modules")) {
                collect(&entry.path(), files)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_name_or_content_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/target")).unwrap();
        fs::write(root.join("a/x"), "1").unwrap();
        let first = Stamp::of(root, &["a", "missing"]).unwrap();
        fs::write(root.join("a/target/y"), "ignored").unwrap();
        assert_eq!(first, Stamp::of(root, &["a"]).unwrap());
        fs::write(root.join("a/x"), "2").unwrap();
        assert_ne!(first, Stamp::of(root, &["a"]).unwrap());
        fs::write(root.join("a/x"), "1").unwrap();
        fs::rename(root.join("a/x"), root.join("a/z")).unwrap();
        assert_ne!(first, Stamp::of(root, &["a"]).unwrap());
    }
}
