//! One file under the original names, made of a recorded model by turning the renaming round.

use super::loading::latents;
use anyhow::{Context as _, Result};
use diffusion::{
    checkpoint::{self, CheckpointOptions, Contents, KnownConfigs, Vocabulary},
    pipeline::{Component, LoadOptions, ModelFiles},
};
use golden::{Data, Tensors, read_all, to_safetensors};
use std::rc::Rc;
use weights::{Dtype, RawTensor, SafetensorsFile, TensorSource};

/// The whole model under the original names.
fn original(files: &ModelFiles) -> Result<Tensors> {
    let (_, parts) = checkpoint::under_original_names(files)?;
    let mut tensors = Tensors::new();
    for part in parts {
        tensors.extend(read_all(&*part.source)?);
    }
    Ok(tensors)
}

fn source(tensors: &Tensors) -> Result<Rc<dyn TensorSource>> {
    Ok(Rc::new(SafetensorsFile::open(to_safetensors(tensors)?)?))
}

fn options(files: &ModelFiles) -> CheckpointOptions {
    let vocabulary = Vocabulary { vocab: files.vocab.clone(), merges: files.merges.clone() };
    CheckpointOptions { vocabulary: Some(vocabulary), ..CheckpointOptions::default() }
}

fn same_tensors(found: &Component, expected: &Component) -> Result<()> {
    let (found, mut expected) = (read_all(&*found.source)?, read_all(&*expected.source)?);
    expected.retain(|name, _| !name.ends_with("position_ids"));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, tensor) in found {
        assert!(expected[&name] == tensor, "{name} differs");
    }
    Ok(())
}

#[test]
fn a_single_file_equals_the_folder_it_was_made_of() -> Result<()> {
    let folder = Data::folder().model("tiny-sd15")?;
    let tensors = original(&folder)?;
    assert_eq!(tensors.len(), 572, "as many as the file that the reference's script writes");
    let attention = &tensors["first_stage_model.decoder.mid.attn_1.q.weight"];
    assert_eq!(attention.shape, [64, 64, 1, 1]);
    for name in [
        "model.diffusion_model.input_blocks.2.0.op.weight",
        "model.diffusion_model.output_blocks.1.1.conv.weight",
        "model.diffusion_model.output_blocks.3.2.conv.weight",
        "first_stage_model.decoder.up.3.upsample.conv.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ] {
        assert!(tensors.contains_key(name), "{name}");
    }
    let file = checkpoint::open(&source(&tensors)?, options(&folder))?;
    same_tensors(&file.unet, &folder.unet)?;
    same_tensors(&file.text_encoder, &folder.text_encoder)?;
    let part = |files: &ModelFiles| {
        files.vae.as_ref().map(|(_, part)| Component { source: part.source.clone(), prefix: String::new() })
    };
    same_tensors(&part(&file).context("vae")?, &part(&folder).context("vae")?)?;
    assert_eq!(latents(&file, LoadOptions::default())?, latents(&folder, LoadOptions::default())?);
    Ok(())
}

#[test]
fn configurations_are_seen_in_shapes() -> Result<()> {
    for name in ["tiny-sd15", "tiny-sd21"] {
        let folder = Data::folder().model(name)?;
        let mut tensors = original(&folder)?;
        if name == "tiny-sd21" {
            // The original file has one layer more, which is not used.
            let last: Vec<_> = tensors
                .iter()
                .filter(|(name, _)| name.contains("resblocks.3."))
                .map(|(name, tensor)| (name.replace("resblocks.3.", "resblocks.4."), tensor.clone()))
                .collect();
            tensors.extend(last);
        }
        let file = checkpoint::open(&source(&tensors)?, options(&folder))?;
        for (made, given, keys) in [
            (
                &file.unet_config,
                &folder.unet_config,
                "block_out_channels layers_per_block down_block_types up_block_types cross_attention_dim \
                 use_linear_projection norm_num_groups in_channels out_channels attention_head_dim",
            ),
            (
                &file.text_config,
                &folder.text_config,
                "hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act vocab_size",
            ),
            (&file.scheduler_config, &folder.scheduler_config, "prediction_type steps_offset timestep_spacing"),
            (
                &file.vae.as_ref().context("vae")?.0,
                &folder.vae.as_ref().context("vae")?.0,
                "block_out_channels layers_per_block norm_num_groups latent_channels scaling_factor",
            ),
        ] {
            let (made, given): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(made)?, serde_json::from_str(given)?);
            for key in keys.split_whitespace() {
                assert_eq!(made[key], given[key], "{key} of {name}");
            }
        }
        assert_eq!(file.pad_token, folder.pad_token);
        assert_eq!(latents(&file, LoadOptions::default())?, latents(&folder, LoadOptions::default())?, "{name}");
    }
    Ok(())
}

#[test]
fn averaged_weights_are_taken_on_demand() -> Result<()> {
    let folder = Data::folder().model("tiny-sd15")?;
    let mut tensors = original(&folder)?;
    let zeros = |tensor: &RawTensor| RawTensor { bytes: vec![0; tensor.bytes.len()], ..tensor.clone() };
    let averaged: Vec<_> = tensors
        .iter()
        .filter_map(|(name, tensor)| {
            let name = name.strip_prefix("model.")?.replace('.', "");
            Some((format!("model_ema.{name}"), zeros(tensor)))
        })
        .collect();
    tensors.extend(averaged);
    let source = source(&tensors)?;
    let open = |averaged| checkpoint::open(&source, CheckpointOptions { averaged, ..options(&folder) });
    same_tensors(&open(false)?.unet, &folder.unet)?;
    let averaged = read_all(&*open(true)?.unet.source)?;
    assert!(averaged.values().all(|tensor| tensor.bytes.iter().all(|byte| *byte == 0)));
    assert_eq!(averaged.keys().collect::<Vec<_>>(), read_all(&*folder.unet.source)?.keys().collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_denoiser_alone_takes_the_rest_from_another_model() -> Result<()> {
    let folder = Data::folder().model("tiny-sd15")?;
    // As ComfyUI-GGUF writes it: without a prefix.
    let (_, unet) = checkpoint::denoiser_under_original_names(&folder, "")?;
    let source = source(&read_all(&*unet.source)?)?;
    assert!(matches!(Contents::of(source.tensors()), Contents::Denoiser(_)));
    let error = checkpoint::open(&source, options(&folder)).err().context("it is not a whole model")?;
    assert!(error.to_string().contains("lacks `vae`"), "{error}");
    let base = Some(Data::folder().model("tiny-sd15")?);
    let file = checkpoint::open(&source, CheckpointOptions { base, ..options(&folder) })?;
    assert_eq!(latents(&file, LoadOptions::default())?, latents(&folder, LoadOptions::default())?);
    Ok(())
}

#[test]
fn every_stored_precision_of_a_single_file_loads() -> Result<()> {
    let folder = Data::folder().model("tiny-sd15")?;
    let mut tensors = original(&folder)?;
    // 1.5 in either format of eight bits.
    for (dtype, byte) in [(Dtype::F8E4M3, 0x3c), (Dtype::F8E5M2, 0x3e)] {
        let name = "model.diffusion_model.out.0.weight";
        tensors.insert(name.to_owned(), RawTensor { dtype, shape: vec![32], bytes: vec![byte; 32] });
        let file = checkpoint::open(&source(&tensors)?, options(&folder))?;
        assert_eq!(file.unet.source.read("conv_norm_out.weight")?.to_f32(), [1.5; 32]);
        assert!(latents(&file, LoadOptions::default())?.iter().all(|value| value.is_finite()));
    }
    Ok(())
}

#[test]
fn configurations_that_are_known_go_before_shapes() -> Result<()> {
    let folder = Data::folder().model("tiny-sd15")?;
    let configs = KnownConfigs { scheduler: Some("{}".to_owned()), ..KnownConfigs::default() };
    let options = CheckpointOptions { configs, ..options(&folder) };
    assert_eq!(checkpoint::open(&source(&original(&folder)?)?, options)?.scheduler_config, "{}");
    let options = CheckpointOptions { prediction: Some("v_prediction".to_owned()), ..self::options(&folder) };
    let file = checkpoint::open(&source(&original(&folder)?)?, options)?;
    assert!(file.scheduler_config.contains("\"v_prediction\""));
    Ok(())
}
