//! A model in one safetensors file under the original names.

use super::{Conversion, Piece, metadata, write_beside};
use anyhow::{Context as _, Result};
use diffusion::{checkpoint, pipeline::ModelFiles};
use std::{collections::BTreeMap, fs::File, io::BufWriter, path::Path};
use weights::{NewTensor, SafetensorsWriter};

/// Writes the file; it is never half a model.
pub fn write(files: &ModelFiles, name: &str, conversion: &mut Conversion, out: &Path) -> Result<()> {
    let (generation, parts) = checkpoint::original_parts(files)?;
    conversion.left_out.extend(files.tiny_vae.as_ref().map(|_| "taesd"));
    let texts: BTreeMap<String, String> = metadata::of_checkpoint(files, name, generation)?.into_iter().collect();
    let pieces: Vec<Piece> = parts.iter().flat_map(|part| conversion.original_pieces(part)).collect();
    write_beside(out, |part| write_safetensors(part, &pieces, &texts, conversion))
}

/// Writes pieces as one safetensors file.
pub fn write_safetensors(
    out: &Path,
    pieces: &[Piece],
    metadata: &BTreeMap<String, String>,
    conversion: &mut Conversion,
) -> Result<()> {
    let tensors: Vec<NewTensor> = pieces.iter().map(Piece::tensor).collect();
    let file = File::create(out).with_context(|| format!("could not create {}", out.display()))?;
    let mut writer = SafetensorsWriter::new(BufWriter::new(file), &tensors, metadata)?;
    for index in writer.order().to_vec() {
        conversion.convert(&pieces[index], &mut writer)?;
    }
    writer.finish()?;
    Ok(())
}
