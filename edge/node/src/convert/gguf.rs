//! A model in one GGUF.

use super::{Conversion, Kind, Names, Piece, metadata, write_beside};
use anyhow::{Context as _, Result};
use diffusion::{
    checkpoint::{self, Generation, OriginalPart},
    pipeline::ModelFiles,
};
use std::{fs::File, io::BufWriter, path::Path};
use weights::{GgufValue, GgufWriter, NewTensor};

/// Writes the file; it is never half a model.
pub fn write(
    files: &ModelFiles,
    name: &str,
    (kind, names): (Kind, Names),
    conversion: &mut Conversion,
    out: &Path,
) -> Result<()> {
    let (pieces, mut texts) = match names {
        Names::Diffusers => {
            let texts = [vec![architecture("stable-diffusion")], metadata::all(files, name)?].concat();
            (diffusers_pieces(files, conversion), texts)
        }
        Names::Original => {
            let (generation, parts) = checkpoint::original_parts(files)?;
            conversion.left_out.extend(files.tiny_vae.as_ref().map(|_| "taesd"));
            let texts =
                [vec![architecture(word(generation))], metadata::without_known_vocabulary(files, name)?].concat();
            (pieces(&parts, conversion), texts)
        }
        Names::Comfyui => {
            let (generation, part) = checkpoint::original_denoiser(files, "")?;
            conversion.left_out = vec!["the text encoder", "the autoencoder"];
            let texts = [vec![architecture(word(generation))], metadata::of_denoiser(files, name)?].concat();
            (pieces(&[part], conversion), texts)
        }
    };
    texts.retain(|(_, text)| !text.is_empty());
    let mut metadata: Vec<_> = texts.into_iter().map(|(key, text)| (key, GgufValue::String(text))).collect();
    metadata.push(("general.file_type".to_owned(), GgufValue::U32(kind.file_type())));
    if kind.dtype().is_block_quantised() {
        metadata.push(("general.quantization_version".to_owned(), GgufValue::U32(2)));
    }
    write_beside(out, |part| write_to(&pieces, &metadata, conversion, part))
}

fn write_to(pieces: &[Piece], metadata: &[(String, GgufValue)], conversion: &mut Conversion, out: &Path) -> Result<()> {
    let tensors: Vec<NewTensor> = pieces.iter().map(Piece::tensor).collect();
    let file = File::create(out).with_context(|| format!("could not create {}", out.display()))?;
    let mut writer = GgufWriter::new(BufWriter::new(file), metadata, &tensors)?;
    for piece in pieces {
        conversion.convert(piece, &mut writer)?;
    }
    writer.finish()?;
    Ok(())
}

/// In the order in which a run needs them, so that whoever fetches the file from its start can begin before its end.
fn diffusers_pieces(files: &ModelFiles, conversion: &Conversion) -> Vec<Piece> {
    let mut parts = vec![("text_encoder", &files.text_encoder)];
    parts.extend(files.text_encoder_2.iter().map(|second| ("text_encoder_2", &second.component)));
    parts.push(("unet", &files.unet));
    let autoencoders = [("vae", &files.vae), ("taesd", &files.tiny_vae)];
    let autoencoders = autoencoders.into_iter().filter_map(|(part, found)| Some((part, &found.as_ref()?.1)));
    parts
        .into_iter()
        .chain(autoencoders)
        .flat_map(|(part, component)| {
            conversion.pieces(part, component).into_iter().map(move |piece| piece.below(part))
        })
        .collect()
}

fn pieces(parts: &[OriginalPart], conversion: &Conversion) -> Vec<Piece> {
    parts.iter().flat_map(|part| conversion.original_pieces(part)).collect()
}

fn architecture(word: &str) -> (String, String) {
    ("general.architecture".to_owned(), word.to_owned())
}

/// What `ComfyUI`'s nodes call a generation: `IMG_ARCH_LIST` in
/// <https://github.com/city96/ComfyUI-GGUF/blob/main/loader.py>, where the second has no word of its own.
const fn word(generation: Generation) -> &'static str {
    match generation {
        Generation::Sd1 | Generation::Sd2 => "sd1",
        Generation::Sdxl | Generation::SdxlRefiner => "sdxl",
    }
}
