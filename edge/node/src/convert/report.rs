//! What a conversion cost.

use super::{Conversion, Converted, Kind, measure::Measured};
use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::DecimalBytes;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};
use weights::{Dtype, Reason};

/// Most tensors that are named in the summary.
const NAMED: usize = 10;

/// Where what it cost is told.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// JSON file for every tensor's name, kind, shape, bytes and relative error
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl ReportArgs {
    /// The file, where one was asked for.
    pub fn path(&self) -> Option<&Path> {
        self.report.as_deref()
    }

    /// Writes the file, where one was asked for.
    pub fn write(&self, conversion: &Conversion, kind: Kind, measured: Option<&Measured>) -> Result<()> {
        let Some(path) = &self.report else { return Ok(()) };
        let report = json(conversion, kind, measured);
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("could not write {}", path.display()))
    }
}

fn json(conversion: &Conversion, kind: Kind, measured: Option<&Measured>) -> Value {
    let tensors = conversion.converted.iter().map(|Converted { name, dtype, shape, bytes, relative_error, reason }| {
        json!({
            "name": name, "type": dtype.as_str(), "shape": shape, "bytes": bytes, "relative_error": relative_error,
            "reason": reason.map(Reason::as_str),
        })
    });
    json!({
        "type": kind.word(),
        "bytes_read": conversion.read,
        "bytes": conversion.converted.iter().map(|tensor| tensor.bytes).sum::<u64>(),
        "left_out": conversion.left_out,
        "tensors": tensors.collect::<Vec<_>>(),
        "measured": measured.map(Measured::json),
    })
}

/// The same for people: kind by kind, then the tensors that moved furthest.
pub fn summary(conversion: &Conversion, out: &Path) -> Result<String, std::fmt::Error> {
    let Conversion { converted, read, left_out, .. } = conversion;
    let mut kinds: BTreeMap<Dtype, Vec<&Converted>> = BTreeMap::new();
    for tensor in converted {
        kinds.entry(tensor.dtype).or_default().push(tensor);
    }
    let mut text = String::new();
    writeln!(text, "kind       tensors      size   mean error  worst error")?;
    for (dtype, tensors) in &kinds {
        let count = tensors.len();
        let mean = tensors.iter().map(|tensor| tensor.relative_error).sum::<f64>() / count as f64;
        let size = DecimalBytes(tensors.iter().map(|tensor| tensor.bytes).sum()).to_string();
        write!(text, "{:10} {count:7} {size:>9}", dtype.as_str())?;
        match worst(tensors.iter().copied()).first() {
            Some(worst) => writeln!(text, "   {mean:10.2e}  {:.2e} in {}", worst.relative_error, worst.name)?,
            None => writeln!(text, "         none")?,
        }
    }
    let after: u64 = converted.iter().map(|tensor| tensor.bytes).sum();
    let share = after as f64 / (*read).max(1) as f64 * 100.0;
    let (before, after) = (DecimalBytes(*read), DecimalBytes(after).to_string());
    writeln!(text, "total      {:7} {after:>9}   {share:.0} % of {before}", converted.len())?;
    for ((reason, dtype), count) in reasons(converted) {
        writeln!(text, "{dtype:10} {count:7} instead: {}", reason.as_str())?;
    }
    let worst = worst(converted.iter());
    if !worst.is_empty() {
        writeln!(text, "\nmoved most of all, relative to their norms")?;
    }
    for Converted { name, dtype, shape, relative_error, .. } in worst.iter().take(NAMED) {
        writeln!(text, "{relative_error:10.2e}  {:7} {name} {shape:?}", dtype.as_str())?;
    }
    if !left_out.is_empty() {
        writeln!(text, "left out   {}", left_out.join(", "))?;
    }
    writeln!(text, "written    {}", out.display())?;
    Ok(text)
}

/// Those that moved, furthest first.
fn worst<'a>(tensors: impl Iterator<Item = &'a Converted>) -> Vec<&'a Converted> {
    let mut moved: Vec<_> = tensors.filter(|tensor| tensor.relative_error > 0.0).collect();
    moved.sort_by(|a, b| b.relative_error.total_cmp(&a.relative_error));
    moved
}

/// How many are stored in which other kind than the one that was asked for, but for vectors, which always are.
fn reasons(converted: &[Converted]) -> BTreeMap<(Reason, Dtype), usize> {
    let mut counts = BTreeMap::new();
    for Converted { reason, dtype, .. } in converted {
        if let Some(reason) = reason.filter(|reason| *reason != Reason::Vector) {
            *counts.entry((reason, *dtype)).or_insert(0) += 1;
        }
    }
    counts
}
