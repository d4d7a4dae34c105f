//! What a model is and takes, from the header of its file alone.

use super::{
    Result,
    download::{WHOLE_FILE_LIMIT, check_length},
    error::EngineError,
    fetch::{body, fetch, whole_length},
    record,
    source::Source,
    storage,
};
use diffusion::{
    config::ConfigError,
    pipeline::{ModelCard, ModelFiles},
    text::ClipTextConfig,
    unet::UNetConfig,
    vae::{TinyVaeConfig, VaeConfig},
};
use protocol::{ModelCost, ModelDetails, ModelPart};
use serde::de::DeserializeOwned;
use std::{cell::RefCell, io, rc::Rc};
use weights::{GgufError, GgufFile, ReadAt, TensorInfo, TensorSource};

/// How much of a file is fetched before it is known how long the header is, and how often that is quadrupled.
const FIRST: u64 = 256 << 10;
const LONGEST: u64 = 17 << 20;
/// The parts of a model, in the order of a run.
const PARTS: [&str; 5] = ["text_encoder", "text_encoder_2", "unet", "taesd", "vae"];
/// Tensors of one part lie close together, and what is between them is padding.
const PADDING: u64 = 4096;
/// Decoders up to this many weights make their own previews.
const CHEAP_DECODER_PARAMETERS: f64 = 2e6;

thread_local! {
    /// What was read in this worker, by the hash of the file.
    static READ: RefCell<Vec<(String, ModelDetails)>> = const { RefCell::new(Vec::new()) };
}

/// What a model is; remembered from an earlier time, or from its header.
///
/// # Errors
/// [`EngineError`] when the file is not a whole model.
pub async fn details(source: &Source) -> Result<ModelDetails> {
    let hash = &source.manifest.sha256;
    let record = record::read(&source.url).await.filter(|record| record.source.manifest.sha256 == *hash);
    if let Some(details) = record.as_ref().and_then(|record| record.details.clone()) {
        return Ok(*details);
    }
    let details = match details_read_here(source) {
        Some(details) => details,
        None => describe(source, header(source).await?)?,
    };
    READ.with_borrow_mut(|read| {
        read.retain(|(_, read)| read.manifest_url != source.url);
        read.push((hash.clone(), details.clone()));
    });
    if record.is_some() {
        // Without room it is read again on the next visit.
        drop(record::keep(source, Some(Box::new(details.clone()))).await);
    }
    Ok(details)
}

/// What was read of a model in this worker.
pub fn details_read_here(source: &Source) -> Option<ModelDetails> {
    let is_this = |(hash, details): &&(String, ModelDetails)| {
        *hash == source.manifest.sha256 && details.manifest_url == source.url
    };
    READ.with_borrow(|read| read.iter().find(is_this).map(|(_, details)| details.clone()))
}

/// The beginning of a file.
struct Beginning {
    bytes: Vec<u8>,
    size: u64,
}

impl ReadAt for Beginning {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.read_exact_at(offset, buf)
    }
}

async fn header(source: &Source) -> Result<GgufFile<Beginning>> {
    let size = source.manifest.size;
    let mut length = FIRST.min(size);
    loop {
        let bytes = beginning(source, length).await?;
        match GgufFile::open(Beginning { bytes, size }) {
            Ok(file) => return Ok(file),
            // The rest of the header is behind what was read.
            Err(GgufError::Read { .. }) if length < LONGEST.min(size) => length = (length * 4).min(LONGEST).min(size),
            Err(error) => return Err(weights::WeightsError::from(error).into()),
        }
    }
}

async fn beginning(source: &Source, length: u64) -> Result<Vec<u8>> {
    let flags = storage::flags(&source.manifest).await;
    let is_stored = (0..source.ranges())
        .take_while(|&range| source.bounds(range).0 < length)
        .all(|range| flags.get(range) == Some(&true));
    if is_stored && let Ok(bytes) = storage::read_stretch(&source.manifest.sha256, 0, length).await {
        return Ok(bytes);
    }
    let url = &source.file_url;
    let response = fetch(url, Some((0, length)), None).await?;
    check_length(source, whole_length(&response))?;
    if response.status() == 200 && source.manifest.size > WHOLE_FILE_LIMIT {
        return Err(EngineError::NoRanges { url: url.clone() });
    }
    let mut bytes = body(url, &response).await?;
    bytes.truncate(length as usize);
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(part: &'static str, text: &str) -> Result<T> {
    Ok(serde_json::from_str(text).map_err(|source| ConfigError::Json { part, source })?)
}

fn describe(source: &Source, file: GgufFile<Beginning>) -> Result<ModelDetails> {
    let file: Rc<dyn TensorSource> = Rc::new(file);
    let files = ModelFiles::from_gguf(&file)?;
    let unet: UNetConfig = parse("unet", &files.unet_config)?;
    let vae: Option<VaeConfig> = files.vae.as_ref().map(|(config, _)| parse("vae", config)).transpose()?;
    let text: ClipTextConfig = parse("text_encoder", &files.text_config)?;
    let tiny: Option<TinyVaeConfig> = files.tiny_vae.as_ref().map(|(config, _)| parse("taesd", config)).transpose()?;
    unet.validate()?;
    vae.as_ref().map_or(Ok(()), VaeConfig::validate)?;
    text.validate()?;
    tiny.as_ref().map_or(Ok(()), TinyVaeConfig::validate)?;

    // A model has one of them, or it would not have been read.
    let factor = vae.as_ref().map(VaeConfig::factor).or(tiny.as_ref().map(TinyVaeConfig::factor)).unwrap_or(8);
    let card = files.card;
    let native = card.native_size.unwrap_or_else(|| {
        let side = (unet.sample_size.unwrap_or(64) * factor) as u32;
        (side, side)
    });
    let parameters = |prefix: &str| in_part(file.tensors(), prefix).map(|tensor| tensor.elements() as f64).sum::<f64>();
    let latents = (native.1 as usize / factor, native.0 as usize / factor);
    let has_cheap_decoder = parameters("vae") <= CHEAP_DECODER_PARAMETERS;
    let cost = cost(
        &unet,
        vae.as_ref(),
        tiny.as_ref(),
        Run { latents, tokens: text.max_position_embeddings, has_cheap_decoder },
    );
    Ok(ModelDetails {
        manifest_url: source.url.clone(),
        name: if card.name.is_empty() { stem(&source.manifest.file) } else { card.name.clone() },
        family: family(&unet, &card).to_owned(),
        file: source.manifest.file.clone(),
        size_bytes: source.manifest.size as f64,
        parts: PARTS.iter().filter_map(|name| part(name, file.tensors())).collect(),
        native_size: native,
        steps: card.steps.unwrap_or(20),
        guidance: card.guidance.unwrap_or(7.5),
        parameters: PARTS.iter().map(|name| parameters(name)).sum(),
        largest_tensor_bytes: file.tensors().iter().map(|tensor| tensor.bytes).max().unwrap_or(0) as f64,
        cost,
    })
}

/// What decides what a run takes, beside the configurations.
#[derive(Clone, Copy)]
struct Run {
    latents: (usize, usize),
    tokens: usize,
    has_cheap_decoder: bool,
}

fn cost(unet: &UNetConfig, vae: Option<&VaeConfig>, tiny: Option<&TinyVaeConfig>, run: Run) -> ModelCost {
    let Run { latents: (height, width), tokens, has_cheap_decoder } = run;
    let denoiser = unet.cost(height, width, tokens);
    let small = tiny.map(|tiny| tiny.decode_cost(height, width)).unwrap_or_default();
    let decoder = vae.map_or(small, |vae| vae.decode_cost(height, width));
    let preview = match tiny {
        Some(_) => small.macs,
        None if has_cheap_decoder => decoder.macs,
        None => 0,
    };
    ModelCost {
        unet_macs: denoiser.macs as f64,
        preview_macs: preview as f64,
        decode_macs: decoder.macs as f64,
        activation_bytes: denoiser.activation_bytes().max(decoder.activation_bytes()) as f64,
    }
}

fn in_part<'a>(tensors: &'a [TensorInfo], name: &str) -> impl Iterator<Item = &'a TensorInfo> {
    let prefix = format!("{name}.");
    tensors.iter().filter(move |tensor| tensor.name.starts_with(&prefix))
}

fn part(name: &str, tensors: &[TensorInfo]) -> Option<ModelPart> {
    let mut stretches: Vec<(u64, u64)> =
        in_part(tensors, name).map(|tensor| (tensor.offset, tensor.offset + tensor.bytes)).collect();
    stretches.sort_unstable();
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for (start, end) in stretches {
        match spans.last_mut() {
            Some(last) if start - last.1 < PADDING => last.1 = end,
            _ => spans.push((start, end)),
        }
    }
    let spans: Vec<_> = spans.into_iter().map(|(start, end)| (start as f64, (end - start) as f64)).collect();
    (!spans.is_empty()).then(|| ModelPart { name: name.to_owned(), spans })
}

/// Told by what is in the file, never by what it is called.
fn family(unet: &UNetConfig, card: &ModelCard) -> &'static str {
    match unet.cross_attention_dim.get(0) {
        768 => "Stable Diffusion 1.x",
        1024 => "Stable Diffusion 2.x",
        _ if !card.known_words.is_empty() => "Darkroom demo",
        _ => "Stable Diffusion of its own kind",
    }
}

fn stem(file: &str) -> String {
    file.strip_suffix(".gguf").unwrap_or(file).to_owned()
}
