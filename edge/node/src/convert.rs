//! `darkroom convert`.

mod checkpoint;
mod container;
mod folder;
mod gguf;
mod kind;
mod measure;
mod metadata;
mod piece;
mod report;

pub use kind::Kind;

use crate::{model, output, parse::check_folder};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use container::{Container, Layout, Names};
use diffusion::pipeline::ModelFiles;
use measure::MeasureArgs;
use piece::{Conversion, Converted, Piece};
use report::{ReportArgs, summary};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};
use weights::{DEFAULT_RANGE_SIZE, FileReader, Manifest};

/// What becomes what.
#[derive(Debug, Args)]
pub struct Convert {
    /// Model folder in diffusers' layout, one GGUF or one safetensors file, or the name of a model that was pulled
    #[arg(long, value_name = "DIR_OR_FILE")]
    model: PathBuf,
    #[command(flatten)]
    model_args: model::ModelArgs,
    /// Container to write
    #[arg(long, value_enum)]
    to: Container,
    /// Whose names the tensors of a GGUF have [default: diffusers]
    #[arg(long, value_enum)]
    names: Option<Names>,
    /// Kind for matrices and convolutions; small and sensitive tensors stay in half or single precision
    #[arg(long = "type", value_enum)]
    kind: Kind,
    /// The file, or the new folder
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write FILE.manifest.json too, the hashes of the file range by range
    #[arg(long)]
    manifest: bool,
    /// Length of a range in bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_RANGE_SIZE, requires = "manifest")]
    range_size: u64,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    measuring: MeasureArgs,
}

impl Convert {
    /// Writes a model as one GGUF with its manifest, and prints what it cost.
    pub fn gguf(files: &ModelFiles, name: &str, kind: Kind, out: &Path, range_size: u64) -> Result<()> {
        let Layout { names, .. } = Layout::new(Container::Gguf, None, kind)?;
        let mut conversion = Conversion::new(files, kind, names)?;
        gguf::write(files, name, (kind, names), &mut conversion, out)
            .with_context(|| format!("could not write {}", out.display()))?;
        let manifest = write_manifest(out, range_size)?;
        output::print(&format!("{}manifest   {}\n", summary(&conversion, out)?, manifest.display()))
    }

    /// Converts, and prints what it cost.
    pub fn run(self) -> Result<()> {
        let Self { model: path, model_args, to, names, kind, out, manifest, range_size, report, measuring } = &self;
        check_folder(out)?;
        report.path().map_or(Ok(()), check_folder)?;
        let layout = Layout::new(*to, *names, *kind)?;
        if *to == Container::Folder && *manifest {
            bail!("a manifest is of one file, and --to folder writes a folder");
        }
        if path.is_file() && out.exists() && path.canonicalize()? == out.canonicalize()? {
            bail!("{} cannot be converted into itself", out.display());
        }
        let conversion = self.convert(layout)?;
        let mut text = summary(&conversion, out)?;
        if *manifest {
            let path = write_manifest(out, *range_size)?;
            writeln!(text, "manifest   {}", path.display())?;
        }
        let measured = measuring.run((model_args, path), out)?;
        if let Some(measured) = &measured {
            writeln!(text, "measured   {measured}")?;
        }
        report.write(&conversion, *kind, measured.as_ref())?;
        output::print(&text)
    }

    fn convert(&self, Layout { container, names }: Layout) -> Result<Conversion> {
        let Self { model: path, model_args, kind, out, .. } = self;
        let files = model_args.open(path)?;
        let name = model::name(&files, path);
        let mut conversion = Conversion::new(&files, *kind, names)?;
        match container {
            Container::Gguf => gguf::write(&files, &name, (*kind, names), &mut conversion, out),
            Container::Folder => folder::write(&files, &name, &mut conversion, out),
            Container::Checkpoint => checkpoint::write(&files, &name, &mut conversion, out),
        }
        .with_context(|| format!("could not convert {} to {}", path.display(), out.display()))?;
        Ok(conversion)
    }
}

/// Has `write` make a file beside `out` and renames it at the end, so that `out` is never half a model.
fn write_beside(out: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let written = write(part).and_then(|()| fs::rename(part, out).context("could not rename the finished file"));
    if written.is_err() {
        // What went wrong is reported; whether the unfinished file could be removed changes nothing about it.
        fs::remove_file(part).ok();
    }
    written
}

fn write_manifest(file: &Path, range_size: u64) -> Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let path = file.with_file_name(format!("{name}.manifest.json"));
    let manifest = Manifest::of(&FileReader::open(file)?, &name, range_size)
        .with_context(|| format!("could not make the manifest of {}", file.display()))?;
    fs::write(&path, serde_json::to_string_pretty(&manifest)? + "\n")
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}
