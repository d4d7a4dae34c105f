//! One tensor on its way.

use super::{Kind, Names};
use anyhow::{Context as _, Result};
use diffusion::{
    checkpoint::OriginalPart,
    pipeline::{Component, ModelFiles},
    unet::UNetConfig,
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    io::{BufWriter, Write},
    rc::Rc,
};
use weights::{
    Dtype, GgufWriter, NewTensor, Quantisation, QuantiseError, Reason, SafetensorsWriter, SquaredError, TensorInfo,
    TensorSource, dequantise, quantise,
};

/// Elements that one thread converts at once: whole blocks of every kind, and little memory.
const SLICE: usize = 1 << 16;
/// Most slices that are in memory at once, however many threads there are.
const SLICES: usize = 32;

/// A tensor of a model, and what will be stored of it.
pub struct Piece {
    source: Rc<dyn TensorSource>,
    source_name: String,
    from: Dtype,
    /// What diffusers calls it, part and name.
    shown_as: String,
    /// Its name in the file that is written.
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    reason: Option<Reason>,
}

impl Piece {
    /// The same in a file with several parts.
    pub fn below(mut self, part: &str) -> Self {
        self.name = format!("{part}.{}", self.name);
        self
    }

    /// What a file will say of it.
    pub fn tensor(&self) -> NewTensor {
        NewTensor { name: self.name.clone(), dtype: self.dtype, shape: self.shape.clone() }
    }
}

/// What takes the bytes of tensors, one behind the other.
pub trait Sink {
    /// Takes some.
    fn push(&mut self, bytes: &[u8]) -> Result<()>;
}

impl<W: Write> Sink for GgufWriter<BufWriter<W>> {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.push_part(bytes)?)
    }
}

impl<W: Write> Sink for SafetensorsWriter<BufWriter<W>> {
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.push_part(bytes)?)
    }
}

/// What became of a tensor.
#[derive(Debug, Clone)]
pub struct Converted {
    /// What diffusers calls it, part and name.
    pub name: String,
    /// The kind it is stored in.
    pub dtype: Dtype,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// How many bytes it takes.
    pub bytes: u64,
    /// How far it moved, in the Euclidean norm.
    pub relative_error: f64,
    /// Why it is not stored in the kind that was asked for.
    pub reason: Option<Reason>,
}

/// How tensors are stored, and what it cost so far.
pub struct Conversion {
    quantisation: Quantisation,
    /// Of the weights that take joined inputs, how many channels are the first one's.
    boundaries: BTreeMap<String, usize>,
    /// Every tensor so far.
    pub converted: Vec<Converted>,
    /// Bytes read.
    pub read: u64,
    /// Parts of the model that the container has no place for.
    pub left_out: Vec<&'static str>,
}

impl Conversion {
    /// Nothing converted yet.
    pub fn new(files: &ModelFiles, kind: Kind, names: Names) -> Result<Self> {
        let config: UNetConfig =
            serde_json::from_str(&files.unet_config).context("the denoiser's configuration cannot be read")?;
        config.validate()?;
        let boundaries = config.skip_inputs().into_iter().flat_map(|input| {
            ["conv1", "conv_shortcut"].map(|layer| (format!("{}.{layer}.weight", input.block), input.hidden))
        });
        Ok(Self {
            quantisation: Quantisation { matrices_only: names == Names::Original, ..kind.quantisation() },
            boundaries: boundaries.collect(),
            converted: Vec::new(),
            read: 0,
            left_out: Vec::new(),
        })
    }

    /// Every tensor of a part under diffusers' names, without buffers that older exporters wrote beside the parameters.
    pub fn pieces(&self, part: &str, component: &Component) -> Vec<Piece> {
        let prefix = if component.prefix.is_empty() { String::new() } else { format!("{}.", component.prefix) };
        let tensors = component.source.tensors().iter().filter(|info| !info.name.ends_with("position_ids"));
        tensors
            .filter_map(|info| {
                let name = info.name.strip_prefix(&prefix)?;
                Some(self.piece(&component.source, info, (part, name), name))
            })
            .collect()
    }

    /// Every tensor of a part under the original names.
    pub fn original_pieces(&self, original: &OriginalPart) -> Vec<Piece> {
        let OriginalPart { part, component, names } = original;
        let tensors = component.source.tensors().iter();
        tensors
            .map(|info| {
                let ours = names.get(&info.name).unwrap_or(&info.name);
                self.piece(&component.source, info, (part, ours), &info.name)
            })
            .collect()
    }

    fn piece(&self, source: &Rc<dyn TensorSource>, info: &TensorInfo, (part, ours): (&str, &str), name: &str) -> Piece {
        let boundary = if part == "unet" { self.boundaries.get(ours).copied() } else { None };
        let (dtype, reason) = if info.dtype.is_integer() {
            (info.dtype, None)
        } else {
            let choice = self.quantisation.choose(ours, &info.shape, boundary);
            (choice.dtype, choice.reason)
        };
        Piece {
            source: Rc::clone(source),
            source_name: info.name.clone(),
            from: info.dtype,
            shown_as: format!("{part}.{ours}"),
            name: name.to_owned(),
            shape: info.shape.clone(),
            dtype,
            reason,
        }
    }

    /// Reads one tensor slice by slice and hands on what is stored of it; bytes of the right kind already pass through.
    pub fn convert(&mut self, piece: &Piece, sink: &mut dyn Sink) -> Result<()> {
        let Piece { from, dtype, shape, shown_as, reason, .. } = piece;
        let failed = || format!("could not convert the tensor {shown_as}");
        let count: u64 = shape.iter().map(|&dim| dim as u64).product();
        let at_once = (rayon::current_num_threads() * 2).min(SLICES) * SLICE;
        let (mut error, mut bytes, mut first) = (SquaredError::default(), 0, 0);
        while first < count {
            let end = count.min(first + at_once as u64);
            let raw = piece.source.read_range(&piece.source_name, first..end).with_context(failed)?;
            self.read += raw.len() as u64;
            if from == dtype {
                sink.push(&raw)?;
                bytes += raw.len() as u64;
            } else {
                for (packed, moved) in packed(&raw, *from, *dtype, first as usize).with_context(failed)? {
                    sink.push(&packed)?;
                    bytes += packed.len() as u64;
                    error = error.plus(moved);
                }
            }
            first = end;
        }
        piece.source.release(&piece.source_name);
        self.converted.push(Converted {
            name: shown_as.clone(),
            dtype: *dtype,
            shape: shape.clone(),
            bytes,
            relative_error: error.relative(),
            reason: *reason,
        });
        Ok(())
    }
}

type Packed = (Vec<u8>, SquaredError);

/// Slices in their order, each packed by one thread; `first` is the tensor's element that they begin with.
fn packed(raw: &[u8], from: Dtype, to: Dtype, first: usize) -> Result<Vec<Packed>, QuantiseError> {
    let slice = SLICE / from.block_len() * from.block_bytes();
    let pack = |(index, bytes): (usize, &[u8])| {
        let values = dequantise(from, bytes);
        let stored = quantise(&values, to).map_err(|error| error.behind(first + index * SLICE))?;
        let moved = SquaredError::of(&values, &dequantise(to, &stored));
        Ok((stored, moved))
    };
    raw.par_chunks(slice).enumerate().map(pack).collect()
}
