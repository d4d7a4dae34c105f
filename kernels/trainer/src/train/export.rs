//! The finished model as a folder in diffusers' layout.

use super::{TrainOptions, autoencoder, denoiser, taesd};
use crate::{
    TrainError,
    checkpoint::{Checkpoint, replace},
    demo::{card, configs},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use weights::{Dtype, TensorView, write_safetensors};

/// The finished model's folder below the run's.
pub fn folder(options: &TrainOptions) -> PathBuf {
    options.out.join("model")
}

/// Writes the averaged weights of both stages, the configurations, the tokenizer and the card.
pub fn export(options: &TrainOptions, scaling_factor: f64) -> Result<(), TrainError> {
    let folder = folder(options);
    for part in ["unet", "vae", "taesd", "text_encoder", "tokenizer", "scheduler"] {
        let path = folder.join(part);
        fs::create_dir_all(&path).map_err(TrainError::file(&path))?;
    }
    let all = configs(scaling_factor)?;
    let denoising = Checkpoint::new(&options.out, denoiser::STAGE).average();
    copy_part(&denoising, "unet.", &folder.join("unet/diffusion_pytorch_model.safetensors"))?;
    copy_part(&denoising, "text_encoder.", &folder.join("text_encoder/model.safetensors"))?;
    for (stage, part) in [(autoencoder::STAGE, "vae"), (taesd::STAGE, "taesd")] {
        let trained = Checkpoint::new(&options.out, stage).average();
        copy_part(&trained, "", &folder.join(part).join("diffusion_pytorch_model.safetensors"))?;
    }

    let index = r#"{"_class_name":"StableDiffusionPipeline","scheduler":["diffusers","DDIMScheduler"],"text_encoder":["transformers","CLIPTextModel"],"tokenizer":["transformers","CLIPTokenizer"],"unet":["diffusers","UNet2DConditionModel"],"vae":["diffusers","AutoencoderKL"]}"#;
    let tokenizer = r#"{"tokenizer_class":"CLIPTokenizer","model_max_length":24,"unk_token":"<|endoftext|>","bos_token":"<|startoftext|>","eos_token":"<|endoftext|>","pad_token":"<|endoftext|>"}"#;
    let card = serde_json::to_string_pretty(&card())?;
    let texts = [
        ("model_index.json", index),
        ("unet/config.json", &all.unet_json),
        ("vae/config.json", &all.vae_json),
        ("taesd/config.json", &all.taesd_json),
        ("text_encoder/config.json", &all.text_json),
        ("scheduler/scheduler_config.json", &all.scheduler_json),
        ("tokenizer/tokenizer_config.json", tokenizer),
        ("tokenizer/vocab.json", crate::demo::VOCAB),
        ("tokenizer/merges.txt", crate::demo::MERGES),
        ("card.json", &card),
    ];
    texts.iter().try_for_each(|(name, text)| replace(&folder.join(name), text.as_bytes()))
}

/// Copies the tensors below a prefix into a file of their own, without the prefix.
fn copy_part(from: &Path, prefix: &str, to: &Path) -> Result<(), TrainError> {
    let source = weights::open_path(from)?;
    let mut owned = Vec::new();
    for info in source.tensors() {
        if let Some(name) = info.name.strip_prefix(prefix) {
            owned.push((name.to_owned(), info.shape.clone(), source.read(&info.name)?.bytes));
        }
    }
    let views = owned.iter().map(|(name, shape, bytes)| TensorView { name, dtype: Dtype::F32, shape, bytes });
    let mut buffer = Vec::new();
    write_safetensors(&mut buffer, views, &BTreeMap::new())?;
    replace(to, &buffer)
}
