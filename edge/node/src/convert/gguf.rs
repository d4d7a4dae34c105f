//! A whole model in one GGUF.

use super::{Conversion, Piece};
use anyhow::{Context as _, Result};
use diffusion::pipeline::{ModelCard, ModelFiles, keys};
use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
};
use weights::{Dtype, GgufValue, GgufWriter, NewTensor};

/// Writes beside `out` and renames at the end, so that `out` is never half a model.
pub fn write(files: &ModelFiles, name: &str, target: Dtype, conversion: &mut Conversion, out: &Path) -> Result<()> {
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    let written = write_to(files, name, target, conversion, part)
        .and_then(|()| fs::rename(part, out).context("could not rename the finished file"));
    if written.is_err() {
        // What went wrong is reported; whether the unfinished file could be removed changes nothing about it.
        fs::remove_file(part).ok();
    }
    written
}

fn write_to(files: &ModelFiles, name: &str, target: Dtype, conversion: &mut Conversion, out: &Path) -> Result<()> {
    // In the order in which a run needs them, so that whoever fetches the file from its start can begin before its end.
    let mut parts = vec![("text_encoder", &files.text_encoder)];
    parts.extend(files.text_encoder_2.iter().map(|second| ("text_encoder_2", &second.component)));
    parts.push(("unet", &files.unet));
    let autoencoders = [("vae", &files.vae), ("taesd", &files.tiny_vae)];
    let autoencoders = autoencoders.into_iter().filter_map(|(part, found)| Some((part, &found.as_ref()?.1)));
    let pieces: Vec<(String, Piece)> = parts
        .into_iter()
        .chain(autoencoders)
        .flat_map(|(part, component)| {
            conversion.pieces(component).into_iter().map(move |piece| (format!("{part}.{}", piece.name), piece))
        })
        .collect();
    let tensors: Vec<NewTensor> = pieces.iter().map(|(name, piece)| piece.tensor(name.clone())).collect();
    let file = File::create(out).with_context(|| format!("could not create {}", out.display()))?;
    let mut writer = GgufWriter::new(BufWriter::new(file), &metadata(files, name, target)?, &tensors)?;
    for (name, piece) in &pieces {
        writer.push(&conversion.convert(piece, name)?)?;
    }
    writer.finish()?;
    Ok(())
}

fn metadata(files: &ModelFiles, name: &str, target: Dtype) -> Result<Vec<(String, GgufValue)>> {
    let ModelFiles { unet_config, text_config, scheduler_config, vocab, merges, pad_token, card, .. } = files;
    let card = serde_json::to_string(&ModelCard { name: name.to_owned(), ..card.clone() })?;
    let texts = [
        ("general.architecture", "stable-diffusion"),
        ("general.name", name),
        (keys::UNET, unet_config),
        (keys::TEXT, text_config),
        (keys::SCHEDULER, scheduler_config),
        (keys::VOCAB, vocab),
        (keys::MERGES, merges),
        (keys::PAD, pad_token),
        (keys::CARD, &card),
    ];
    let autoencoders = [(keys::VAE, &files.vae), (keys::TAESD, &files.tiny_vae)];
    let configs = autoencoders.into_iter().filter_map(|(key, found)| Some((key, found.as_ref()?.0.as_str())));
    let second = files.text_encoder_2.iter().flat_map(|second| {
        let zeros = if second.force_zeros { "true" } else { "false" };
        [(keys::TEXT_2, second.config.as_str()), (keys::PAD_2, &second.pad_token), (keys::FORCE_ZEROS, zeros)]
    });
    let texts = texts.into_iter().chain(configs).chain(second);
    let mut metadata: Vec<_> = texts.map(|(key, text)| (key.to_owned(), GgufValue::String(text.to_owned()))).collect();
    metadata.push(("general.file_type".to_owned(), GgufValue::U32(file_type(target))));
    if target.is_block_quantised() {
        metadata.push(("general.quantization_version".to_owned(), GgufValue::U32(2)));
    }
    Ok(metadata)
}

/// The number of the kind that most tensors have, `LLAMA_FTYPE_*` in
/// <https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h>.
const fn file_type(target: Dtype) -> u32 {
    match target {
        Dtype::F16 => 1,
        Dtype::Q4_0 => 2,
        Dtype::Q8_0 => 7,
        _ => 0,
    }
}
