//! `darkroom inspect`.

use crate::{
    family::{Conditioning, Family},
    output,
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use diffusion::{
    checkpoint,
    metadata::Metadata,
    pipeline::{ModelCard, ModelFiles, keys},
};
use indicatif::DecimalBytes;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};
use weights::{FileReader, Format, GgufFile, GgufValue, SafetensorsFile, TensorInfo, TensorSource as _};

/// Most of a metadata value that is shown.
const SHOWN: usize = 100;

/// What to look into.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Model folder, GGUF, safetensors, or a picture (PNG, JPEG, WebP) with parameters
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is in a folder or a file of weights.
struct Contents {
    container: &'static str,
    conditioning: Conditioning,
    card: Option<ModelCard>,
    tensors: Vec<TensorInfo>,
    /// Tensors in kinds that are not read: name, kind, shape.
    unsupported: Vec<(String, String, Vec<usize>)>,
    metadata: BTreeMap<String, String>,
}

impl Inspect {
    /// Prints what is in it.
    pub fn run(self) -> Result<()> {
        let file = &self.file;
        let shown = file.display();
        if !file.exists() {
            bail!("{shown} does not exist");
        }
        if is_picture(file) {
            let metadata = metadata(file)?;
            return if self.json {
                output::print_json(&json!({ "parameters": metadata.raw, "picture": metadata.json() }))
            } else {
                output::print(&format!("{}\n", metadata.text()))
            };
        }
        let contents = if file.is_dir() {
            Contents::of_folder(file)?
        } else {
            Contents::of_file(file).with_context(|| format!("could not open {shown}"))?
        };
        if self.json { output::print_json(&contents.json()) } else { output::print(&contents.text()?) }
    }
}

fn is_picture(path: &Path) -> bool {
    let mut start = [0; 12];
    let is_read = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok();
    let is_webp = start.starts_with(b"RIFF") && start.ends_with(b"WEBP");
    is_read && (is_webp || start.starts_with(b"\x89PNG") || start.starts_with(&[0xFF, 0xD8, 0xFF]))
}

/// What a picture says of how it was drawn.
pub fn metadata(path: &Path) -> Result<Metadata> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("could not read {shown}"))?;
    let found = Metadata::read(&mut BufReader::new(file)).with_context(|| format!("could not read {shown}"))?;
    found.with_context(|| format!("{shown} carries no parameters; it was saved anew, or by a program that writes none"))
}

/// The same in a web UI's form; `None` where it says nothing.
pub fn parameters(path: &Path) -> Result<Option<String>> {
    let file = File::open(path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(Metadata::read(&mut BufReader::new(file))?.map(|metadata| metadata.text()))
}

impl Contents {
    fn of_folder(folder: &Path) -> Result<Self> {
        let files = ModelFiles::from_folder(folder)?;
        let mut parts = vec![("unet", files.unet)];
        parts.extend(files.vae.map(|(_, component)| ("vae", component)));
        parts.push(("text_encoder", files.text_encoder));
        parts.extend(files.text_encoder_2.map(|second| ("text_encoder_2", second.component)));
        if let Some((_, tiny)) = files.tiny_vae {
            parts.push(("taesd", tiny));
        }
        let tensors = parts.iter().flat_map(|(part, component)| {
            let named = move |info: &TensorInfo| TensorInfo { name: format!("{part}.{}", info.name), ..info.clone() };
            component.source.tensors().iter().map(named)
        });
        Ok(Self {
            container: "folder",
            conditioning: Conditioning::of_config(&files.unet_config),
            tensors: tensors.collect(),
            card: Some(files.card),
            unsupported: Vec::new(),
            metadata: BTreeMap::new(),
        })
    }

    fn of_file(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            let shards = weights::open_path(path)?;
            return Ok(Self::of_tensors("sharded safetensors", shards.tensors(), BTreeMap::new()));
        }
        let reader = FileReader::open(path)?;
        match weights::sniff(&reader)? {
            Format::Safetensors => {
                let file = SafetensorsFile::open(reader).map_err(weights::WeightsError::from)?;
                Ok(Self::of_tensors("safetensors", file.tensors(), file.all_metadata().clone()))
            }
            Format::Gguf => {
                let file = GgufFile::open(reader).map_err(weights::WeightsError::from)?;
                Ok(Self::of_gguf(&file))
            }
        }
    }

    fn of_tensors(container: &'static str, tensors: &[TensorInfo], metadata: BTreeMap<String, String>) -> Self {
        Self {
            container,
            conditioning: Conditioning::of_tensors(tensors),
            card: None,
            tensors: tensors.to_vec(),
            unsupported: Vec::new(),
            metadata,
        }
    }

    fn of_gguf(file: &GgufFile<FileReader>) -> Self {
        let metadata = file.all_metadata().iter().map(|(key, value)| (key.clone(), shown(value))).collect();
        let mut contents = Self::of_tensors("GGUF", file.tensors(), metadata);
        if let Some(config) = file.metadata(keys::UNET) {
            contents.conditioning = Conditioning::of_config(config);
        }
        contents.card = file.metadata(keys::CARD).and_then(|card| serde_json::from_str(card).ok());
        let unsupported = file.unsupported().iter();
        contents.unsupported =
            unsupported.map(|tensor| (tensor.name.clone(), tensor.kind.clone(), tensor.shape.clone())).collect();
        contents
    }

    /// What the tensors are of, where what conditions them does not say it.
    fn family(&self) -> String {
        let family = Family::of(self.conditioning, self.card.as_ref());
        let seen = || Some(self.kind().denoiser()?.generation.to_string());
        let known = (family != Family::Unknown).then(|| family.as_str().to_owned());
        known.or_else(seen).unwrap_or_else(|| family.as_str().to_owned())
    }

    fn kind(&self) -> checkpoint::Contents {
        checkpoint::Contents::of(&self.tensors)
    }

    /// Tensors and bytes of each kind, and of all.
    fn totals(&self) -> (BTreeMap<&'static str, (usize, u64)>, u64, u64) {
        let mut kinds = BTreeMap::new();
        for info in &self.tensors {
            let (count, bytes) = kinds.entry(info.dtype.as_str()).or_insert((0, 0));
            *count += 1;
            *bytes += info.bytes;
        }
        let elements = self.tensors.iter().map(TensorInfo::elements).sum();
        let bytes = self.tensors.iter().map(|info| info.bytes).sum();
        (kinds, elements, bytes)
    }

    fn json(&self) -> Value {
        let (kinds, elements, bytes) = self.totals();
        let kinds: serde_json::Map<_, _> = kinds
            .into_iter()
            .map(|(kind, (tensors, bytes))| (kind.to_owned(), json!({ "tensors": tensors, "bytes": bytes })))
            .collect();
        let tensors = self.tensors.iter().map(|TensorInfo { name, dtype, shape, bytes, .. }| {
            json!({ "name": name, "dtype": dtype.as_str(), "shape": shape, "bytes": bytes })
        });
        let unsupported =
            self.unsupported.iter().map(|(name, kind, shape)| json!({ "name": name, "dtype": kind, "shape": shape }));
        json!({
            "container": self.container,
            "family": self.family(),
            "contents": self.kind().to_string(),
            "cross_attention_dim": self.conditioning.width,
            "tensors": tensors.collect::<Vec<_>>(),
            "unsupported": unsupported.collect::<Vec<_>>(),
            "totals": { "tensors": self.tensors.len(), "elements": elements, "bytes": bytes, "dtypes": kinds },
            "metadata": self.metadata,
        })
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        writeln!(text, "container  {}", self.container)?;
        writeln!(text, "contents   {}", self.kind())?;
        write!(text, "family     {}", self.family())?;
        match self.conditioning.width {
            Some(width) => writeln!(text, " (cross_attention_dim {width})")?,
            None => writeln!(text)?,
        }
        // Shapes are in the list of tensors already.
        for (key, value) in self.metadata.iter().filter(|(key, _)| !key.contains(".orig_shape.")) {
            writeln!(text, "metadata   {key} = {value}")?;
        }
        writeln!(text)?;
        let width = self.tensors.iter().map(|info| info.name.len()).max().unwrap_or(0);
        for TensorInfo { name, dtype, shape, bytes, .. } in &self.tensors {
            let shape = format!("{shape:?}");
            writeln!(text, "{name:width$}  {:5} {shape:22} {bytes:>12}", dtype.as_str())?;
        }
        for (name, kind, shape) in &self.unsupported {
            writeln!(text, "{name:width$}  {kind:5} {shape:?} cannot be read")?;
        }
        let (kinds, elements, bytes) = self.totals();
        writeln!(text, "\ntotal      {} tensors, {elements} elements, {}", self.tensors.len(), DecimalBytes(bytes))?;
        for (kind, (count, bytes)) in kinds {
            writeln!(text, "{kind:10} {count} tensors, {}", DecimalBytes(bytes))?;
        }
        Ok(text)
    }
}

/// A value on one line, cut where it is long.
fn shown(value: &GgufValue) -> String {
    match value {
        GgufValue::U32(value) => value.to_string(),
        GgufValue::I32(value) => value.to_string(),
        GgufValue::U64(value) => value.to_string(),
        GgufValue::I64(value) => value.to_string(),
        GgufValue::F32(value) => value.to_string(),
        GgufValue::F64(value) => value.to_string(),
        GgufValue::Bool(value) => value.to_string(),
        GgufValue::String(text) => {
            let line = text.escape_debug().to_string();
            match line.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}… ({} bytes)", &line[..end], text.len()),
                None => line,
            }
        }
        GgufValue::I32Array(list) => format!("{list:?}"),
        GgufValue::StringArray(list) => format!("a list of {} texts", list.len()),
        GgufValue::Skipped { elements } => format!("a list of {elements}"),
    }
}
