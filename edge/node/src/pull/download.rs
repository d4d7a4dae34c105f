//! One file, range by range, from where an earlier attempt stopped.

use super::{
    choose::{Announced, HubFile},
    hub::Hub,
};
use anyhow::{Context as _, Result, bail};
use http_body_util::BodyExt as _;
use hyper::{StatusCode, header::CONTENT_RANGE};
use indicatif::ProgressBar;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Length of one range.
const RANGE: u64 = 32 << 20;
/// Most attempts in a row that bring nothing.
const ATTEMPTS: u32 = 5;
/// Longest silence within an answer.
const SILENCE: Duration = Duration::from_mins(1);

/// Where files come from.
pub struct Source<'a> {
    /// The server.
    pub hub: &'a Hub,
    /// `ORG/NAME`.
    pub repository: &'a str,
    /// Branch, tag or commit.
    pub revision: &'a str,
}

impl Source<'_> {
    /// Fetches `file` to `target`; what is there already is checked and kept.
    pub async fn fetch(&self, file: &HubFile, target: &Path, bar: &ProgressBar) -> Result<()> {
        if fs::metadata(target).is_ok_and(|found| found.len() == file.size) {
            bar.inc(file.size);
            return Ok(());
        }
        let folder = target.parent().context("a file lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
        let part = part_of(target);
        self.fill(file, &part, bar).await.with_context(|| format!("could not fetch {}", file.path))?;
        if let Some(announced) = &file.announced {
            let (found, expected) = match announced {
                Announced::Sha256(expected) => (hash_of::<Sha256>(&part, b"")?, expected),
                Announced::GitBlob(expected) => {
                    (hash_of::<Sha1>(&part, format!("blob {}\0", file.size).as_bytes())?, expected)
                }
            };
            if found != *expected {
                fs::remove_file(&part).ok();
                bail!("{} arrived with the hash {found} where {expected} was announced; it was thrown away", file.path);
            }
        }
        fs::rename(&part, target).with_context(|| format!("could not write {}", target.display()))
    }

    async fn fill(&self, file: &HubFile, part: &Path, bar: &ProgressBar) -> Result<()> {
        let mut out = OpenOptions::new().create(true).append(true).open(part)?;
        if out.metadata()?.len() > file.size {
            out.set_len(0)?;
        }
        let mut have = out.metadata()?.len();
        bar.inc(have);
        let mut failures = 0;
        while have < file.size {
            let before = have;
            let outcome = self.one_range(file, &mut out, &mut have, bar).await;
            failures = if have > before { 0 } else { failures + 1 };
            if let Err(error) = outcome {
                if failures >= ATTEMPTS || error.is::<Refused>() {
                    return Err(error);
                }
                sleep(Duration::from_millis(200 << failures)).await;
            }
        }
        out.sync_all()?;
        Ok(())
    }

    async fn one_range(&self, file: &HubFile, out: &mut File, have: &mut u64, bar: &ProgressBar) -> Result<()> {
        let end = file.size.min(*have + RANGE);
        let response = self.hub.range(self.repository, self.revision, &file.path, (*have, end)).await?;
        let end = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
                if !range.is_some_and(|range| range.starts_with(&format!("bytes {have}-"))) {
                    bail!("the server answered another range than {have}");
                }
                end
            }
            StatusCode::OK => {
                // It knows no ranges: the whole file comes, so what is there begins anew.
                out.set_len(0)?;
                out.seek(SeekFrom::Start(0))?;
                bar.dec(*have);
                *have = 0;
                file.size
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                return Err(Refused(status).into());
            }
            status => bail!("the server answered {status}"),
        };
        let mut body = response.into_body();
        while let Some(frame) = timeout(SILENCE, body.frame()).await.context("the server fell silent")? {
            let Ok(data) = frame?.into_data() else { continue };
            if *have + data.len() as u64 > end {
                bail!("the server sent more than was asked for");
            }
            out.write_all(&data)?;
            *have += data.len() as u64;
            bar.inc(data.len() as u64);
        }
        if *have < end {
            bail!("the answer broke off")
        }
        Ok(())
    }
}

/// An answer that asking again does not change.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {0}; a private model needs a token (HF_TOKEN)")]
struct Refused(StatusCode);

/// What a file is called while it is on its way.
fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// The hash of a file's bytes behind `start`.
fn hash_of<D: Digest>(path: &Path, start: &[u8]) -> Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (D::new_with_prefix(start), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let hex = hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        write!(hex, "{byte:02x}").ok();
        hex
    });
    Ok(hex)
}
