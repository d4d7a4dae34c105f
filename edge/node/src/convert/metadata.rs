//! What a file says of its model beside the tensors.

use crate::vocabulary;
use anyhow::Result;
use diffusion::{
    checkpoint::Generation,
    pipeline::{ModelCard, ModelFiles, keys},
};
use serde_json::Value;

/// Keys and texts.
type Texts = Vec<(String, String)>;

/// Everything, so that the file needs no other.
pub fn all(files: &ModelFiles, name: &str) -> Result<Texts> {
    let ModelFiles { unet_config, text_config, scheduler_config, vocab, merges, pad_token, card, .. } = files;
    let card = serde_json::to_string(&ModelCard { name: name.to_owned(), ..card.clone() })?;
    let texts = [
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
    Ok(texts.map(|(key, text)| (key.to_owned(), text.to_owned())).collect())
}

/// The same for a file under the original names, which has no small autoencoder, and needs no vocabulary that every program has.
pub fn without_known_vocabulary(files: &ModelFiles, name: &str) -> Result<Texts> {
    let known = vocabulary::built_in()?;
    let is_known = known.vocab == files.vocab && known.merges == files.merges;
    let mut texts = all(files, name)?;
    texts.retain(|(key, _)| match key.as_str() {
        keys::TAESD => false,
        keys::VOCAB | keys::MERGES => !is_known,
        _ => true,
    });
    Ok(texts)
}

/// What concerns the denoiser alone.
pub fn of_denoiser(files: &ModelFiles, name: &str) -> Result<Texts> {
    let mut texts = all(files, name)?;
    texts.retain(|(key, _)| ["general.name", keys::UNET, keys::SCHEDULER].contains(&key.as_str()));
    Ok(texts)
}

/// What a single safetensors file says of itself (<https://github.com/Stability-AI/ModelSpec>).
pub fn of_checkpoint(files: &ModelFiles, name: &str, generation: Generation) -> Result<Texts> {
    let scheduler: Value = serde_json::from_str(&files.scheduler_config).unwrap_or_default();
    let prediction = if scheduler["prediction_type"] == "v_prediction" { "v" } else { "epsilon" };
    let architecture = match generation {
        Generation::Sd1 => "stable-diffusion-v1",
        Generation::Sd2 if prediction == "v" => "stable-diffusion-v2-768-v",
        Generation::Sd2 => "stable-diffusion-v2-512",
        Generation::Sdxl => "stable-diffusion-xl-v1-base",
        Generation::SdxlRefiner => "stable-diffusion-xl-v1-refiner",
    };
    let mut texts = without_known_vocabulary(files, name)?;
    texts.retain(|(key, _)| key != "general.name");
    for (key, text) in [
        ("format", "pt"),
        ("modelspec.sai_model_spec", "1.0.0"),
        ("modelspec.title", name),
        ("modelspec.architecture", architecture),
        ("modelspec.implementation", "sgm"),
        ("modelspec.prediction_type", prediction),
    ] {
        texts.push((key.to_owned(), text.to_owned()));
    }
    Ok(texts)
}
