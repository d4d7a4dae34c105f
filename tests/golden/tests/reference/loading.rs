//! Files that are wrong, and the same weights in every container that is read.

use super::device;
use anyhow::{Context as _, Result};
use burn::tensor::{Device, Tensor, TensorData};
use diffusion::{
    nn::{BuilderRoot, LoadError, Problem},
    noise::Noise,
    pipeline::{
        CancelToken, LoadOptions, Loading, ModelFiles, Part, PipelineRequest, Prompting, Silent, SizeConditioning,
        StableDiffusion,
    },
    unet::{Context, UNet2DConditionModel, UNetConfig},
};
use golden::{Data, Tensors, read_all, to_gguf, to_safetensors};
use spec::{ClipSkip, Guidance, GuidanceRescale, ImageSize, NoiseKind, Seed, Steps};
use std::{collections::BTreeMap, fs, rc::Rc};
use weights::{Dtype, GgufFile, RawTensor, SafetensorsFile, TensorSource, relative_error};

const MODEL: &str = "tiny-sd15";

fn load_unet(config: &str, source: &dyn TensorSource, device: &Device) -> Result<UNet2DConditionModel, LoadError> {
    let config: UNetConfig = serde_json::from_str(config).expect("the recorded configuration is valid");
    let root = BuilderRoot::from_checkpoint(source, device, false);
    let unet = UNet2DConditionModel::new(&root.root(""), &config).expect("the recorded configuration is valid");
    root.finish("").map(|()| unet)
}

fn forward(unet: &UNet2DConditionModel, device: &Device) -> Result<Vec<f32>> {
    let ramp = |count: usize| (0..count).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>();
    let sample = Tensor::from_data(TensorData::new(ramp(4 * 8 * 8), [1, 4, 8, 8]), device);
    let context = Tensor::from_data(TensorData::new(ramp(77 * 32), [1, 77, 32]), device);
    pollster::block_on(golden::values(unet.forward(sample, &[500.0], &Context::new(context))))
}

fn stored_as(tensors: &Tensors, dtype: Dtype) -> Result<Tensors> {
    let stored = tensors.iter().map(|(name, raw)| {
        let bytes = weights::quantise(&raw.to_f32(), dtype)?;
        Ok((name.clone(), RawTensor { dtype, shape: raw.shape.clone(), bytes }))
    });
    stored.collect()
}

#[test]
fn every_tensor_that_does_not_fit_is_named_with_both_shapes() -> Result<()> {
    let files = Data::folder().model(MODEL)?;
    let mut tensors = read_all(&*files.unet.source)?;
    tensors.remove("conv_in.bias").context("the model has conv_in.bias")?;
    let surplus = RawTensor { dtype: Dtype::F32, shape: vec![2, 3], bytes: vec![0; 24] };
    tensors.insert("conv_in.lora".to_owned(), surplus);
    let misshapen = tensors.get_mut("time_embedding.linear_1.weight").context("the model has a time embedding")?;
    misshapen.shape.reverse();

    let source = SafetensorsFile::open(to_safetensors(&tensors)?)?;
    let error = load_unet(&files.unet_config, &source, &device()?).err().context("such a file is refused")?;
    let words = error.to_string();
    let LoadError::Mismatch(mut problems) = error else { anyhow::bail!("another error: {words}") };
    problems.sort_by_key(ToString::to_string);
    let expected = [
        Problem::Surplus { name: "conv_in.lora".to_owned(), found: vec![2, 3] },
        Problem::Missing { name: "conv_in.bias".to_owned(), expected: vec![32] },
        Problem::Misshapen {
            name: "time_embedding.linear_1.weight".to_owned(),
            expected: vec![128, 32],
            found: vec![32, 128],
        },
    ];
    for problem in &expected {
        assert!(problems.contains(problem), "{problem:?} is not among {problems:?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:?}");
    for part in [
        "`conv_in.bias` is missing (expected [32])",
        "`conv_in.lora` [2, 3] is not part of this model",
        "`time_embedding.linear_1.weight` is [32, 128], expected [128, 32]",
    ] {
        assert!(words.contains(part), "{words}");
    }
    Ok(())
}

#[test]
fn safetensors_of_every_precision_and_in_shards_load_the_same() -> Result<()> {
    let device = device()?;
    let files = Data::folder().model(MODEL)?;
    let halves = read_all(&*files.unet.source)?;
    let config = &files.unet_config;
    let output = |tensors: &Tensors| -> Result<Vec<f32>> {
        let source = SafetensorsFile::open(to_safetensors(tensors)?)?;
        forward(&load_unet(config, &source, &device)?, &device)
    };
    let reference = output(&halves)?;
    assert_eq!(output(&stored_as(&halves, Dtype::F32)?)?, reference, "F32");

    // The recorded weights are halves, which BF16 cannot hold, so its copies are compared with each other.
    let brain = stored_as(&halves, Dtype::BF16)?;
    assert_eq!(output(&brain)?, output(&stored_as(&brain, Dtype::F32)?)?, "BF16");

    let folder = tempfile::tempdir()?;
    let (first, second): (Tensors, Tensors) = halves.into_iter().partition(|(name, _)| name.starts_with("down_blocks"));
    let mut weight_map = BTreeMap::new();
    for (part, tensors) in [("a.safetensors", first), ("b.safetensors", second)] {
        fs::write(folder.path().join(part), to_safetensors(&tensors)?)?;
        weight_map.extend(tensors.into_keys().map(|name| (name, part)));
    }
    let index = folder.path().join("diffusion_pytorch_model.safetensors.index.json");
    fs::write(&index, serde_json::json!({ "weight_map": weight_map }).to_string())?;
    let shards = weights::open_path(&index)?;
    assert_eq!(forward(&load_unet(config, &*shards, &device)?, &device)?, reference, "shards");
    Ok(())
}

#[test]
fn a_folder_loads_like_its_parts() -> Result<()> {
    let files = Data::folder().model("tiny-sd21")?;
    let folder = tempfile::tempdir()?;
    let (vae_config, vae) = files.vae.as_ref().context("the model has an autoencoder")?;
    let parts = [
        ("unet/config.json", &files.unet_config),
        ("vae/config.json", vae_config),
        ("text_encoder/config.json", &files.text_config),
        ("scheduler/scheduler_config.json", &files.scheduler_config),
        ("tokenizer/vocab.json", &files.vocab),
        ("tokenizer/merges.txt", &files.merges),
        ("tokenizer/tokenizer_config.json", &serde_json::json!({ "pad_token": files.pad_token }).to_string()),
    ];
    for part in ["unet", "vae", "text_encoder", "scheduler", "tokenizer"] {
        fs::create_dir(folder.path().join(part))?;
    }
    for (name, text) in parts {
        fs::write(folder.path().join(name), text)?;
    }
    for (name, component) in [
        ("unet/diffusion_pytorch_model.safetensors", &files.unet),
        ("vae/diffusion_pytorch_model.safetensors", vae),
        ("text_encoder/model.safetensors", &files.text_encoder),
    ] {
        fs::write(folder.path().join(name), to_safetensors(&read_all(&*component.source)?)?)?;
    }
    let opened = ModelFiles::open(folder.path())?;
    assert_eq!(opened.pad_token, "!");
    assert_eq!(latents(&opened, LoadOptions::default())?, latents(&files, LoadOptions::default())?);
    Ok(())
}

/// How far a run may move when its weights are packed into blocks of eight bits; 0.019 was measured.
const Q8_0_BOUND: f64 = 0.05;
/// The same for four bits; 0.125 was measured.
const Q4_0_BOUND: f64 = 0.25;

#[test]
fn gguf_of_every_kind_loads_the_same_or_close_to_it() -> Result<()> {
    let files = Data::folder().model(MODEL)?;
    let reference = latents(&files, LoadOptions::default())?;
    for (dtype, bound) in [(Dtype::F32, 0.0), (Dtype::F16, 0.0), (Dtype::Q8_0, Q8_0_BOUND), (Dtype::Q4_0, Q4_0_BOUND)] {
        let packed = ModelFiles::from_gguf(
            &(Rc::new(GgufFile::open(to_gguf(&files, dtype)?)?) as Rc<dyn weights::TensorSource>),
        )?;
        let error = relative_error(&reference, &latents(&packed, LoadOptions::default())?);
        println!("{dtype}: {error:.2e} (at most {bound:.0e})");
        assert!(error <= bound, "{dtype} moves the run by {error}");
    }
    Ok(())
}

#[test]
fn packed_weights_compute_like_unpacked_ones() -> Result<()> {
    let files = Data::folder().model(MODEL)?;
    // Kinds that no kernel reads are unpacked to halves.
    for (dtype, bound) in [(Dtype::Q8_0, 1e-3), (Dtype::Q4K, 1e-2), (Dtype::Q5_1, 1e-2)] {
        let packed = ModelFiles::from_gguf(
            &(Rc::new(GgufFile::open(to_gguf(&files, dtype)?)?) as Rc<dyn weights::TensorSource>),
        )?;
        let unpacked = latents(&packed, LoadOptions::default())?;
        let options = LoadOptions { keep_quantised: true, ..LoadOptions::default() };
        let error = relative_error(&unpacked, &latents(&packed, options)?);
        println!("{dtype} kept packed: {error:.2e}");
        assert!(error <= bound, "packed weights of {dtype} move the run by {error}");
    }
    Ok(())
}

#[test]
fn a_prompt_that_is_remembered_says_the_same_as_one_that_is_read() -> Result<()> {
    let files = Data::folder().model(MODEL)?;
    let device = device()?;
    let encoded = |asked: &[&[&str]]| -> Result<Vec<f32>> {
        let mut loading = Loading::new(&files, &device, LoadOptions::default())?;
        loading.load(Part::TextEncoder)?;
        let encoder = loading.prompts().context("the text encoder is loaded")?;
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let mut states = None;
        for asked in asked {
            states = Some(encoder.encode(&texts(asked), 2)?.states);
        }
        pollster::block_on(golden::values(states.context("something is asked")?))
    };
    let fresh = encoded(&[&["an apple", "a tree", "an apple"]])?;
    let many: Vec<String> = (0..40).map(|index| format!("a picture of {index} boats")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let remembered = encoded(&[&["a tree"], &["an apple"], &["an apple", "a tree", "an apple"]])?;
    let forgotten = encoded(&[&["an apple"], &many, &["an apple", "a tree", "an apple"]])?;
    assert!(relative_error(&fresh, &remembered) < 1e-5);
    assert!(relative_error(&fresh, &forgotten) < 1e-5);
    Ok(())
}

/// The finished latents of a short run with guidance.
pub fn latents(files: &ModelFiles, options: LoadOptions) -> Result<Vec<f32>> {
    drawn(&StableDiffusion::load(files, &device()?, options)?)
}

/// The latents of a picture of two steps.
pub fn drawn(pipeline: &StableDiffusion) -> Result<Vec<f32>> {
    let request = PipelineRequest {
        prompts: vec!["a photo of an astronaut".to_owned()],
        negative_prompts: vec!["blurry".to_owned()],
        prompting: Prompting::default(),
        steps: Steps::new(2)?,
        guidance: Guidance::new(5.0)?,
        guidance_rescale: GuidanceRescale::default(),
        scheduler: None,
        scheduler_options: diffusion::scheduler::SchedulerOptions::default(),
        size: ImageSize::new(32, 32)?,
        clip_skip: ClipSkip::default(),
        noise: Noise::new(NoiseKind::Philox, Seed(1), 1),
        latents: None,
        sizes: SizeConditioning::default(),
        init: None,
        controls: Vec::new(),
        vae_tiling: diffusion::vae::TilingMode::default(),
        hires: None,
        switches: diffusion::pipeline::Switches::default(),
    };
    let generated = pollster::block_on(pipeline.generate(request, &mut Silent, &CancelToken::default()))?;
    pollster::block_on(golden::values(generated.latents))
}
