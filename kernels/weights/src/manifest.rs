use std::{fmt::Write as _, io};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    ReadAt,
    tensor_name::{is_file_name, shown},
};

/// The length of a range where nothing else is asked for: large enough that requests cost little, small enough that a
/// broken one is soon repeated.
pub const DEFAULT_RANGE_SIZE: u64 = 16 << 20;
/// Longest range that is accepted, since a range is held in memory to be checked.
const MAX_RANGE_SIZE: u64 = 256 << 20;
/// Most ranges that one manifest may list.
const MAX_RANGES: usize = 65_536;
/// Bytes that are hashed at a time while a manifest is made.
const CHUNK: u64 = 1 << 20;

/// What a weight file must be, range by range, so that every piece of a download is checked as it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The file's name, without a folder.
    pub file: String,
    /// The file's length in bytes.
    pub size: u64,
    /// The SHA-256 of the whole file in lower-case hexadecimal.
    pub sha256: String,
    /// The length of every range in bytes, save the last, which ends with the file.
    #[serde(default = "default_range_size")]
    pub range_size: u64,
    /// The SHA-256 of each range in lower-case hexadecimal.
    pub ranges: Vec<String>,
}

fn default_range_size() -> u64 {
    DEFAULT_RANGE_SIZE
}

/// Why a manifest, or a range held against it, is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file that the manifest is made of could not be read.
    #[error("cannot read {file} at byte {offset} to hash it")]
    Read {
        /// The file's name.
        file: String,
        /// Where reading failed.
        offset: u64,
        /// What the platform said.
        source: io::Error,
    },
    /// The manifest is not the JSON of a manifest.
    #[error("the manifest is not valid JSON of a manifest")]
    Parse {
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// The file's name is not a plain one.
    #[error("the manifest names the file \"{file}\", which is not a plain name of A-Z a-z 0-9 . _ -")]
    FileName {
        /// The name, escaped and cut.
        file: String,
    },
    /// The length of the ranges is not accepted.
    #[error("ranges of {found} bytes are not allowed, only of 1 to {limit}")]
    RangeSize {
        /// The length.
        found: u64,
        /// The longest that is accepted.
        limit: u64,
    },
    /// The manifest lists another number of ranges than the file's length makes.
    #[error("the manifest of {file} lists {found} ranges where its {size} bytes make {expected}")]
    RangeCount {
        /// The file's name.
        file: String,
        /// How many it lists.
        found: u64,
        /// How many the length makes.
        expected: u64,
        /// The length.
        size: u64,
    },
    /// The file makes more ranges than are accepted.
    #[error("{file} makes {found} ranges where {limit} are allowed; choose longer ones")]
    TooManyRanges {
        /// The file's name.
        file: String,
        /// How many it makes.
        found: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// A hash of the manifest is not one.
    #[error(
        "the manifest of {file} has \"{found}\" for the hash of {what}, which is not 64 lower-case hexadecimal digits"
    )]
    Hash {
        /// The file's name.
        file: String,
        /// What the hash is of.
        what: String,
        /// What is there, escaped and cut.
        found: String,
    },
    /// There is no such range.
    #[error("{file} has {ranges} ranges, so none of number {index}")]
    NoSuchRange {
        /// The file's name.
        file: String,
        /// The number that was asked for, counted from 0.
        index: usize,
        /// How many there are.
        ranges: usize,
    },
    /// A range arrived with another length than it has.
    #[error("range {index} of {file} arrived with {found} bytes instead of {expected}; fetch it again")]
    RangeLength {
        /// The file's name.
        file: String,
        /// The range, counted from 0.
        index: usize,
        /// How many bytes arrived.
        found: u64,
        /// How many it has.
        expected: u64,
    },
    /// A range arrived with other bytes than it has.
    #[error("range {index} of {file} has the hash {found} instead of {expected}; fetch it again")]
    RangeHash {
        /// The file's name.
        file: String,
        /// The range, counted from 0.
        index: usize,
        /// The hash of what arrived.
        found: String,
        /// The hash it must have.
        expected: String,
    },
}

impl Manifest {
    /// Hash all of `reader` into the manifest of a file called `file`.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Read`] where the bytes cannot be read, and what [`Self::validate`] says against the name or
    /// the length of the ranges.
    pub fn of<R: ReadAt + ?Sized>(reader: &R, file: &str, range_size: u64) -> Result<Self, ManifestError> {
        let size = reader.len();
        let mut manifest = Self { file: file.to_owned(), size, sha256: String::new(), range_size, ranges: Vec::new() };
        let count = manifest.checked_count()?;
        manifest.ranges.reserve_exact(count);
        let mut whole = Sha256::new();
        let mut chunk = vec![0; CHUNK.min(range_size).min(size) as usize];
        for start in (0..count as u64).map(|index| index * range_size) {
            let end = start.saturating_add(range_size).min(size);
            let mut range = Sha256::new();
            let mut offset = start;
            while offset < end {
                let part = &mut chunk[..CHUNK.min(end - offset) as usize];
                reader.read_exact_at(offset, part).map_err(|source| ManifestError::Read {
                    file: file.to_owned(),
                    offset,
                    source,
                })?;
                whole.update(&*part);
                range.update(&*part);
                offset += part.len() as u64;
            }
            manifest.ranges.push(hex(&range.finalize()));
        }
        manifest.sha256 = hex(&whole.finalize());
        Ok(manifest)
    }

    /// Read and validate a manifest from its JSON.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Parse`], or what [`Self::validate`] says against it.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(json).map_err(|source| ManifestError::Parse { source })?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Check that the manifest agrees with itself and names its file safely.
    ///
    /// # Errors
    ///
    /// A [`ManifestError`] that names the field at fault.
    pub fn validate(&self) -> Result<(), ManifestError> {
        let Self { file, size, sha256, range_size: _, ranges } = self;
        let expected = self.checked_count()?;
        if ranges.len() != expected {
            return Err(ManifestError::RangeCount {
                file: file.clone(),
                found: ranges.len() as u64,
                expected: expected as u64,
                size: *size,
            });
        }
        let refused = |what: String, found: &str| ManifestError::Hash { file: file.clone(), what, found: shown(found) };
        if !is_hash(sha256) {
            return Err(refused("the file".to_owned(), sha256));
        }
        match ranges.iter().enumerate().find(|(_, hash)| !is_hash(hash)) {
            None => Ok(()),
            Some((index, hash)) => Err(refused(format!("range {index}"), hash)),
        }
    }

    /// Where the range `index` begins and how many bytes it has; `None` where there is no such range.
    pub fn range(&self, index: usize) -> Option<(u64, u64)> {
        if index >= self.ranges.len() {
            return None;
        }
        let offset = (index as u64).checked_mul(self.range_size)?;
        let left = self.size.checked_sub(offset)?;
        Some((offset, left.min(self.range_size)))
    }

    /// Check that `bytes` are those of the range `index`.
    ///
    /// # Errors
    ///
    /// [`ManifestError::NoSuchRange`], [`ManifestError::RangeLength`] or [`ManifestError::RangeHash`].
    pub fn verify_range(&self, index: usize, bytes: &[u8]) -> Result<(), ManifestError> {
        let file = || self.file.clone();
        let (Some((_, expected)), Some(hash)) = (self.range(index), self.ranges.get(index)) else {
            return Err(ManifestError::NoSuchRange { file: file(), index, ranges: self.ranges.len() });
        };
        let found = bytes.len() as u64;
        if found != expected {
            return Err(ManifestError::RangeLength { file: file(), index, found, expected });
        }
        let found = sha256_hex(bytes);
        if found != *hash {
            return Err(ManifestError::RangeHash { file: file(), index, found, expected: hash.clone() });
        }
        Ok(())
    }

    /// How many ranges the length makes, where name and lengths are accepted.
    fn checked_count(&self) -> Result<usize, ManifestError> {
        let &Self { ref file, size, range_size, .. } = self;
        if !is_file_name(file) {
            return Err(ManifestError::FileName { file: shown(file) });
        }
        if !(1..=MAX_RANGE_SIZE).contains(&range_size) {
            return Err(ManifestError::RangeSize { found: range_size, limit: MAX_RANGE_SIZE });
        }
        let found = size.div_ceil(range_size);
        usize::try_from(found).ok().filter(|&count| count <= MAX_RANGES).ok_or_else(|| ManifestError::TooManyRanges {
            file: file.clone(),
            found,
            limit: MAX_RANGES as u64,
        })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The SHA-256 of some bytes in lower-case hexadecimal, as manifests have it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
