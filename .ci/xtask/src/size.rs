//! Each program that is built for wasm against its recorded budget.

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

/// Fail when a built program is larger, gzipped, than its budget, or has none.
pub fn check(place: &Place, steps: Steps) -> Result<()> {
    let sizes = built(place)?;
    if sizes.is_empty() {
        steps.note("nothing is built for wasm, so there are no sizes to check");
        return Ok(());
    }
    let text = fs::read_to_string(place.root.join(BUDGET)).with_context(|| format!("{BUDGET} cannot be read"))?;
    let budget: Value = serde_json::from_str(&text).with_context(|| format!("{BUDGET} is no JSON"))?;
    let mut faults = Vec::new();
    for (name, size) in sizes {
        let key = format!("{name}_gzip");
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

/// What is built of the page, the engine and the edge, with gzipped sizes in bytes.
fn built(place: &Place) -> Result<Vec<(String, u64)>> {
    let mut sizes = Vec::new();
    if place.dist().is_dir() {
        for file in wasm_files(&place.dist())? {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let name = stem.split(['-', '_']).next().unwrap_or(&stem).to_owned();
            sizes.push((name, gzipped(&fs::read(&file)?)?));
        }
    }
    // The Worker is uploaded as a whole, so its script counts as well.
    let [script, wasm] = ["index.js", "index_bg.wasm"].map(|name| place.worker().join(name));
    if script.is_file() && wasm.is_file() {
        sizes.push(("edge".to_owned(), gzipped(&fs::read(&script)?)? + gzipped(&fs::read(&wasm)?)?));
    }
    Ok(sizes)
}

fn gzipped(bytes: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len() as u64)
}
