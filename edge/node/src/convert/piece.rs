//! One tensor on its way.

use anyhow::{Context as _, Result};
use diffusion::pipeline::Component;
use std::{collections::BTreeMap, rc::Rc};
use weights::{Dtype, ErrorReport, NewTensor, Quantisation, RawTensor, TensorError, TensorSource, quantise};

/// A tensor of a model, and what will be stored of it.
pub struct Piece {
    source: Rc<dyn TensorSource>,
    source_name: String,
    /// Its name within its part.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// The kind it will be stored in.
    pub dtype: Dtype,
}

impl Piece {
    /// What a file will say of it.
    pub fn tensor(&self, name: String) -> NewTensor {
        NewTensor { name, dtype: self.dtype, shape: self.shape.clone() }
    }
}

/// How tensors are stored, and what it cost so far.
pub struct Conversion {
    quantisation: Quantisation,
    /// How far every tensor moved.
    pub report: ErrorReport,
    /// Bytes read.
    pub read: u64,
    /// Bytes stored of each kind.
    pub stored: BTreeMap<Dtype, u64>,
}

impl Conversion {
    /// Nothing converted yet.
    pub fn new(quantisation: Quantisation) -> Self {
        Self { quantisation, report: ErrorReport::default(), read: 0, stored: BTreeMap::new() }
    }

    /// Every tensor of a part, without buffers that older exporters wrote beside the parameters.
    pub fn pieces(&self, component: &Component) -> Vec<Piece> {
        let prefix = if component.prefix.is_empty() { String::new() } else { format!("{}.", component.prefix) };
        let tensors = component.source.tensors().iter().filter(|info| !info.name.ends_with("position_ids"));
        tensors
            .filter_map(|info| {
                let name = info.name.strip_prefix(&prefix)?.to_owned();
                let dtype = self.dtype(&name, &info.shape, info.dtype);
                let source = Rc::clone(&component.source);
                Some(Piece { source, source_name: info.name.clone(), name, shape: info.shape.clone(), dtype })
            })
            .collect()
    }

    fn dtype(&self, name: &str, shape: &[usize], found: Dtype) -> Dtype {
        match found {
            Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 | Dtype::U8 | Dtype::Bool => found,
            _ => self.quantisation.stored_dtype(name, shape),
        }
    }

    /// Reads one tensor and gives what is stored of it; bytes of the right kind already pass through.
    pub fn convert(&mut self, piece: &Piece, shown_as: &str) -> Result<Vec<u8>> {
        let raw = piece.source.read(&piece.source_name)?;
        self.read += raw.bytes.len() as u64;
        let bytes = if raw.dtype == piece.dtype {
            let name = shown_as.to_owned();
            self.report.tensors.push(TensorError { name, dtype: raw.dtype, relative_error: 0.0 });
            raw.bytes
        } else {
            let values = raw.to_f32();
            let bytes =
                quantise(&values, piece.dtype).with_context(|| format!("could not convert the tensor {shown_as}"))?;
            let stored = RawTensor { dtype: piece.dtype, shape: raw.shape, bytes };
            self.report.push(shown_as, &values, &stored);
            stored.bytes
        };
        *self.stored.entry(piece.dtype).or_default() += bytes.len() as u64;
        Ok(bytes)
    }
}
