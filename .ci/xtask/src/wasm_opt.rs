//! wasm-opt over the built files, remembered by content: its JavaScript build takes minutes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::place::Place;
use crate::process::quiet;
use crate::stamp::Stamp;
use crate::step::Steps;

/// Above this the time is out of all proportion to the bytes saved.
const LARGEST: u64 = 12 << 20;
/// The features that rustc's wasm target and its SIMD code use; no others may be introduced.
const ARGUMENTS: [&str; 8] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Shrink each wasm file of the served folder that is small enough for it.
pub async fn shrink(place: &Place, steps: Steps) -> Result<()> {
    for file in wasm_files(&place.dist())? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&file).with_context(|| format!("{name} cannot be read"))?;
        if bytes.len() as u64 > LARGEST {
            steps.note(format!("{name} is left as it is: {} MB are too many for wasm-opt", bytes.len() >> 20));
            continue;
        }
        let known = place.cache.join("wasm-opt");
        fs::create_dir_all(&known)?;
        let stamp = Stamp::of_bytes(&bytes).with(&ARGUMENTS.join(" "));
        let small = known.join(format!("{}.wasm", stamp.short()));
        if !small.is_file() {
            let partial = small.with_extension("partial");
            let mut wasm_opt = place.command("wasm-opt");
            wasm_opt.args(ARGUMENTS).arg(&file).arg("-o").arg(&partial);
            let what = format!("wasm-opt cannot shrink {name}");
            steps.run(format!("shrinking {name}"), quiet(&mut wasm_opt, &place.log("wasm-opt"), &what)).await?;
            fs::rename(&partial, &small)?;
        }
        fs::copy(&small, &file).with_context(|| format!("{name} cannot be written"))?;
    }
    Ok(())
}

/// Take the names of functions out of each wasm file of a folder: seconds for an eighth of the size, where shrinking takes
/// minutes for little more.
pub async fn strip_names(place: &Place, folder: &Path, steps: Steps) -> Result<()> {
    for file in wasm_files(folder)? {
        let partial = file.with_extension("partial");
        let mut wasm_opt = place.command("wasm-opt");
        wasm_opt.args(["--strip-debug", "--strip-producers", "--enable-exception-handling"]).args(&ARGUMENTS[1..]);
        wasm_opt.arg(&file).arg("-o").arg(&partial);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = format!("wasm-opt cannot read {name}");
        steps.run(format!("stripping {name}"), quiet(&mut wasm_opt, &place.log("wasm-opt"), &what)).await?;
        fs::rename(&partial, &file)?;
    }
    Ok(())
}

/// The wasm files that were built, not those that are copied from elsewhere.
pub fn wasm_files(dist: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dist).with_context(|| format!("{} cannot be read", dist.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
