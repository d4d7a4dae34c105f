//! Each wasm file against its recorded budget.

use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::place::Place;
use crate::step::Steps;
use crate::wasm_opt::wasm_files;

const BUDGET: &str = ".ci/size-budget.json";

/// Fail when a built wasm file is larger, gzipped, than its budget, or has none.
pub fn check(place: &Place, steps: Steps) -> Result<()> {
    if !place.dist().is_dir() {
        steps.note("the page is not built, so there are no sizes to check");
        return Ok(());
    }
    let text = fs::read_to_string(place.root.join(BUDGET)).with_context(|| format!("{BUDGET} cannot be read"))?;
    let budget: Value = serde_json::from_str(&text).with_context(|| format!("{BUDGET} is no JSON"))?;
    let mut faults = Vec::new();
    for file in wasm_files(&place.dist())? {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = stem.split(['-', '_']).next().unwrap_or(&stem);
        let key = format!("{name}_gzip");
        let size = gzipped(&fs::read(&file)?)?;
        let Some(limit) = budget.get(&key).and_then(Value::as_u64) else {
            faults.push(format!("{name} has no budget: {key} is missing in {BUDGET}"));
            continue;
        };
        steps.note(format!("{name}: {size} of {limit} bytes, gzipped"));
        if size > limit {
            faults.push(format!("{name} is {} bytes over its budget of {limit}", size - limit));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn gzipped(bytes: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len() as u64)
}
