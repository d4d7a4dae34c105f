//! SHA-256 of files and of folders; of large files it is kept, so that a model is not read whole before every picture.

use crate::pull::Cache;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};
use weights::{Manifest, sha256_hex};

/// Files from this size on are not read again while they are what they were.
const LARGE: u64 = 64 << 20;
/// Most hashes that are kept.
const MAX_KEPT: usize = 1000;
/// Longest header of a safetensors file that is jumped over.
const MAX_HEADER: u64 = 100 << 20;

/// The hash of a file, from the manifest beside it where that is its own; of a folder, the hash of its files' names and hashes.
///
/// # Errors
/// What cannot be read.
pub fn of_path(path: &Path) -> Result<String> {
    let could_not = || format!("could not read {}", path.display());
    if path.is_dir() {
        return of_folder(path);
    }
    let beside = PathBuf::from(format!("{}.manifest.json", path.display()));
    let manifest = fs::read(beside).ok().and_then(|json| Manifest::parse(&json).ok());
    let size = fs::metadata(path).with_context(could_not)?.len();
    if let Some(manifest) = manifest.filter(|manifest| manifest.size == size) {
        return Ok(manifest.sha256);
    }
    if size < LARGE {
        return read(path, 0).with_context(could_not);
    }
    let key = key(path).with_context(could_not)?;
    let kept = kept();
    if let Some(known) = kept.get(&key).and_then(Value::as_str) {
        return Ok(known.to_owned());
    }
    let found = read(path, 0).with_context(could_not)?;
    keep(kept, key, &found);
    Ok(found)
}

/// The hash that web UIs know a LoRA by: of what stands behind the header, so that other words in it do not change it.
///
/// # Errors
/// What cannot be read.
pub fn of_tensors(path: &Path) -> Result<String> {
    let behind = || -> std::io::Result<u64> {
        let mut length = [0; 8];
        File::open(path)?.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        Ok(if length <= MAX_HEADER { length + 8 } else { 0 })
    };
    behind().and_then(|start| read(path, start)).with_context(|| format!("could not read {}", path.display()))
}

fn of_folder(path: &Path) -> Result<String> {
    let (mut lines, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("could not read {}", folder.display()))?;
        for entry in entries {
            let inner = entry?.path();
            let is_hidden = inner.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            match is_hidden {
                true => {}
                false if inner.is_dir() => folders.push(inner),
                false => {
                    let name = inner.strip_prefix(path).unwrap_or(&inner).to_string_lossy().replace('\\', "/");
                    lines.push(format!("{name} {}", of_path(&inner)?));
                }
            }
        }
    }
    lines.sort();
    Ok(sha256_hex(lines.join("\n").as_bytes()))
}

fn read(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        write!(hex, "{byte:02x}").ok();
        hex
    }))
}

/// A file as it is now.
fn key(path: &Path) -> std::io::Result<String> {
    let path = path.canonicalize()?;
    let metadata = fs::metadata(&path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(format!("{} {} {modified}", path.display(), metadata.len()))
}

fn file_of_kept() -> Option<PathBuf> {
    Some(Cache::of_user().ok()?.root().with_file_name("hashes.json"))
}

fn kept() -> Map<String, Value> {
    let text = file_of_kept().and_then(|file| fs::read(file).ok());
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Writes it down; where that cannot be, the file is read again the next time.
fn keep(mut kept: Map<String, Value>, key: String, hash: &str) {
    let Some(file) = file_of_kept() else { return };
    if kept.len() >= MAX_KEPT {
        kept.clear();
    }
    kept.insert(key, hash.into());
    let part = file.with_extension(format!("{}.part", std::process::id()));
    let folder = file.parent().unwrap_or(&file);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&part, Value::Object(kept).to_string()));
    written.and_then(|()| fs::rename(part, file)).ok();
}
