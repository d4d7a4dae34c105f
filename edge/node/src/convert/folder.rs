//! A model in diffusers' folder layout.

use super::{Conversion, checkpoint::write_safetensors};
use anyhow::{Context as _, Result, bail};
use diffusion::pipeline::{ModelCard, ModelFiles};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const TEXT_WEIGHTS: &str = "model.safetensors";

/// Writes into `out`, which must be new or empty.
pub fn write(files: &ModelFiles, name: &str, conversion: &mut Conversion, out: &Path) -> Result<()> {
    if out.exists() && out.read_dir().map_or(true, |mut entries| entries.next().is_some()) {
        bail!("{} is there already and is not an empty folder", out.display());
    }
    for part in ["unet", "text_encoder", "tokenizer", "scheduler"] {
        let folder = out.join(part);
        fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
    }
    let texts = [
        ("unet/config.json", files.unet_config.clone()),
        ("text_encoder/config.json", files.text_config.clone()),
        ("scheduler/scheduler_config.json", files.scheduler_config.clone()),
        ("tokenizer/vocab.json", files.vocab.clone()),
        ("tokenizer/merges.txt", files.merges.clone()),
        ("tokenizer/tokenizer_config.json", pretty(&tokenizer_config(&files.text_config, &files.pad_token))?),
        ("model_index.json", pretty(&model_index(files))?),
        ("card.json", serde_json::to_string_pretty(&ModelCard { name: name.to_owned(), ..files.card.clone() })?),
    ];
    for (file, text) in texts {
        write_text(&out.join(file), &text)?;
    }
    if let Some(second) = &files.text_encoder_2 {
        for part in ["text_encoder_2", "tokenizer_2"] {
            let folder = out.join(part);
            fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
        }
        for (file, text) in [
            ("text_encoder_2/config.json", second.config.clone()),
            ("tokenizer_2/vocab.json", files.vocab.clone()),
            ("tokenizer_2/merges.txt", files.merges.clone()),
            ("tokenizer_2/tokenizer_config.json", pretty(&tokenizer_config(&second.config, &second.pad_token))?),
        ] {
            write_text(&out.join(file), &text)?;
        }
    }
    let mut parts = vec![("unet", WEIGHTS, &files.unet), ("text_encoder", TEXT_WEIGHTS, &files.text_encoder)];
    parts.extend(files.text_encoder_2.iter().map(|second| ("text_encoder_2", TEXT_WEIGHTS, &second.component)));
    for (part, autoencoder) in [("vae", &files.vae), ("taesd", &files.tiny_vae)] {
        let Some((config, component)) = autoencoder else { continue };
        let folder = out.join(part);
        fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
        write_text(&folder.join("config.json"), config)?;
        parts.push((part, WEIGHTS, component));
    }
    // transformers refuses files that do not say this.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    for (part, file, component) in parts {
        let (path, pieces) = (out.join(part).join(file), conversion.pieces(part, component));
        write_safetensors(&path, &pieces, &metadata, conversion)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn pretty(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn tokenizer_config(text_config: &str, pad_token: &str) -> Value {
    let text: Value = serde_json::from_str(text_config).unwrap_or_default();
    json!({
        "tokenizer_class": "CLIPTokenizer", "do_lower_case": true, "add_prefix_space": false, "errors": "replace",
        "model_max_length": text["max_position_embeddings"].as_u64().unwrap_or(77),
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
        "pad_token": pad_token,
    })
}

fn model_index(files: &ModelFiles) -> Value {
    let scheduler: Value = serde_json::from_str(&files.scheduler_config).unwrap_or_default();
    let mut index = json!({
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", scheduler["_class_name"].as_str().unwrap_or("DDIMScheduler")],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [null, null],
        "feature_extractor": [null, null],
        "image_encoder": [null, null],
        "requires_safety_checker": false,
    });
    if let Some(second) = &files.text_encoder_2 {
        index["_class_name"] = json!("StableDiffusionXLPipeline");
        index["text_encoder_2"] = json!(["transformers", "CLIPTextModelWithProjection"]);
        index["tokenizer_2"] = json!(["transformers", "CLIPTokenizer"]);
        index["force_zeros_for_empty_prompt"] = json!(second.force_zeros);
        for checker in ["safety_checker", "requires_safety_checker"] {
            index.as_object_mut().map(|index| index.remove(checker));
        }
    }
    index
}
