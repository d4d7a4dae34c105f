//! A safetensors file, tensor by tensor.
//!
//! The writer of the crate `weights` takes all tensors in memory at once, which suits small files; here one is held at a time.

use super::{Conversion, Piece};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::{
    cmp::Reverse,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

/// Writes the tensors of one part, the widest elements first so that every tensor is aligned.
pub fn write(path: &Path, part: &str, mut pieces: Vec<Piece>, conversion: &mut Conversion) -> Result<()> {
    pieces.sort_by(|a, b| (Reverse(a.dtype.block_bytes()), &a.name).cmp(&(Reverse(b.dtype.block_bytes()), &b.name)));
    let mut header = Map::new();
    // transformers refuses files that do not say this.
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut begin = 0;
    for Piece { name, shape, dtype, .. } in &pieces {
        let elements = shape.iter().map(|&side| side as u64).product();
        let bytes = dtype.byte_len(elements).with_context(|| format!("the tensor {part}.{name} is too large"))?;
        let end = begin + bytes;
        let entry = json!({ "dtype": dtype.as_str(), "shape": shape, "data_offsets": [begin, end] });
        header.insert(name.clone(), entry);
        begin = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let failed = || format!("could not write {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(failed)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).with_context(failed)?;
    out.write_all(&header).with_context(failed)?;
    for piece in &pieces {
        let bytes = conversion.convert(piece, &format!("{part}.{}", piece.name))?;
        out.write_all(&bytes).with_context(failed)?;
    }
    out.flush().with_context(failed)
}
