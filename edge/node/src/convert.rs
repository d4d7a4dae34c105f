//! `darkroom convert`.

mod folder;
mod gguf;
mod piece;

use crate::{model, output, parse::check_folder};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use diffusion::pipeline::ModelFiles;
use indicatif::DecimalBytes;
use piece::{Conversion, Piece};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};
use weights::{DEFAULT_RANGE_SIZE, Dtype, ErrorReport, FileReader, Manifest, Quantisation};

/// Layers that quantisation hurts most and that are small: what touches latents or pixels, norms, the timestep.
const KEPT: [&str; 4] = ["conv_in", "conv_out", "norm", "time_embedding"];

/// The container that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Container {
    /// One file with everything in it.
    Gguf,
    /// A folder in diffusers' layout.
    Safetensors,
}

/// The kind that matrices are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// 8.5 bits a weight.
    #[value(name = "q8_0")]
    Q8_0,
    /// 4.5 bits a weight.
    #[value(name = "q4_0")]
    Q4_0,
    /// Half precision.
    F16,
    /// Single precision.
    F32,
}

impl Kind {
    const fn dtype(self) -> Dtype {
        match self {
            Self::Q8_0 => Dtype::Q8_0,
            Self::Q4_0 => Dtype::Q4_0,
            Self::F16 => Dtype::F16,
            Self::F32 => Dtype::F32,
        }
    }

    /// The word for it in names.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }

    fn quantisation(self) -> Quantisation {
        let keep_f16 = match self {
            Self::Q8_0 | Self::Q4_0 => KEPT.map(str::to_owned).to_vec(),
            Self::F16 | Self::F32 => Vec::new(),
        };
        Quantisation { keep_f16, ..Quantisation::new(self.dtype()) }
    }
}

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
    /// Kind for matrices and convolutions; small and sensitive tensors stay in half or single precision
    #[arg(long = "type", value_enum)]
    kind: Kind,
    /// The GGUF, or the new folder
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write FILE.manifest.json too, the hashes of the file range by range
    #[arg(long)]
    manifest: bool,
    /// Length of a range in bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_RANGE_SIZE, requires = "manifest")]
    range_size: u64,
}

impl Convert {
    /// Writes a model as one GGUF with its manifest, and prints what it cost.
    pub fn gguf(files: &ModelFiles, name: &str, kind: Kind, out: &Path, range_size: u64) -> Result<()> {
        let mut conversion = Conversion::new(kind.quantisation());
        gguf::write(files, name, kind.dtype(), &mut conversion, out)
            .with_context(|| format!("could not write {}", out.display()))?;
        let manifest = write_manifest(out, range_size)?;
        output::print(&format!("{}manifest   {}\n", summary(&conversion, out)?, manifest.display()))
    }

    /// Converts, and prints what it cost.
    pub fn run(self) -> Result<()> {
        let Self { model: path, model_args, to, kind, out, manifest, range_size } = &self;
        check_folder(out)?;
        if *to == Container::Safetensors && kind.dtype().is_block_quantised() {
            bail!("safetensors has no quantised kinds; take --to gguf, or --type f16 or f32");
        }
        if *to == Container::Safetensors && *manifest {
            bail!("a manifest is of one file, and --to safetensors writes a folder");
        }
        if path.is_file() && out.exists() && path.canonicalize()? == out.canonicalize()? {
            bail!("{} cannot be converted into itself", out.display());
        }
        let files = model_args.open(path)?;
        let name = model::name(&files, path);
        let mut conversion = Conversion::new(kind.quantisation());
        match to {
            Container::Gguf => gguf::write(&files, &name, kind.dtype(), &mut conversion, out),
            Container::Safetensors => folder::write(&files, &name, &mut conversion, out),
        }
        .with_context(|| format!("could not convert {} to {}", path.display(), out.display()))?;

        let mut text = summary(&conversion, out)?;
        if *manifest {
            let path = write_manifest(out, *range_size)?;
            writeln!(text, "manifest   {}", path.display())?;
        }
        output::print(&text)
    }
}

fn summary(conversion: &Conversion, out: &Path) -> Result<String, std::fmt::Error> {
    let Conversion { report, read, stored, .. } = conversion;
    let mut kinds: BTreeMap<Dtype, ErrorReport> = BTreeMap::new();
    for tensor in &report.tensors {
        kinds.entry(tensor.dtype).or_default().tensors.push(tensor.clone());
    }
    let mut text = String::new();
    writeln!(text, "kind       tensors      size   mean error  worst error")?;
    for (dtype, report) in &kinds {
        let count = report.tensors.len();
        let mean = report.tensors.iter().map(|tensor| tensor.relative_error).sum::<f64>() / count as f64;
        let size = DecimalBytes(stored.get(dtype).copied().unwrap_or(0)).to_string();
        write!(text, "{:10} {count:7} {size:>9}", dtype.as_str())?;
        match report.worst() {
            Some(worst) if worst.relative_error > 0.0 => {
                writeln!(text, "   {mean:10.2e}  {:.2e} in {}", worst.relative_error, worst.name)?;
            }
            _ => writeln!(text, "         none")?,
        }
    }
    let after: u64 = stored.values().sum();
    let share = after as f64 / (*read).max(1) as f64 * 100.0;
    let (before, after) = (DecimalBytes(*read), DecimalBytes(after));
    writeln!(text, "total      {:7} {:>9}   {share:.0} % of {before}", report.tensors.len(), after.to_string())?;
    writeln!(text, "written    {}", out.display())?;
    Ok(text)
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
