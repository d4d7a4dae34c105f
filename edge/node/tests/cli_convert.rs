//! Models from one container and kind into another, through the program.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

mod support;

use golden::{Data, to_gguf};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};
use support::{refused, run};
use tempfile::TempDir;
use weights::{Dtype, TensorSource as _, relative_error};

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// One of the recorded models as a GGUF in half precision.
fn recorded(folder: &TempDir, name: &str) -> String {
    let file = path(folder, &format!("{name}.gguf"));
    fs::write(&file, to_gguf(&Data::folder().model(name).unwrap(), Dtype::F16).unwrap()).unwrap();
    file
}

fn convert(model: &str, to: &[&str], kind: &str, out: &str) -> String {
    run(&[&["convert", "--model", model, "--out", out, "--type", kind, "--to"], to].concat())
}

fn draw(model: &str, out: &str, more: &[&str]) -> Vec<u8> {
    let fixed = ["generate", "--prompt", "a boat", "--steps", "2", "--seed", "7", "--width", "32", "--height", "32"];
    run(&[&fixed[..], &["--model", model, "--out", out], more].concat());
    image::open(out).unwrap().into_rgb8().into_raw()
}

/// The values of all tensors under the names of diffusers' folders.
fn values(model: &str) -> BTreeMap<String, Vec<f32>> {
    let read = |source: &dyn weights::TensorSource, prefix: &str| -> Vec<(String, Vec<f32>)> {
        let name = |info: &weights::TensorInfo| format!("{prefix}{}", info.name);
        source.tensors().iter().map(|info| (name(info), source.read(&info.name).unwrap().to_f32())).collect()
    };
    if !Path::new(model).is_dir() {
        return read(&*weights::open_path(Path::new(model)).unwrap(), "").into_iter().collect();
    }
    ["unet", "vae", "text_encoder", "text_encoder_2"]
        .iter()
        .flat_map(|part| {
            let files = ["diffusion_pytorch_model.safetensors", "model.safetensors"];
            let file = files.map(|file| Path::new(model).join(part).join(file)).into_iter().find(|file| file.exists());
            file.map_or_else(Vec::new, |file| read(&*weights::open_path(&file).unwrap(), &format!("{part}.")))
        })
        .collect()
}

const CONTAINERS: [(&str, &[&str]); 4] = [
    ("folder", &["folder"]),
    ("checkpoint.safetensors", &["checkpoint"]),
    ("ours.gguf", &["gguf"]),
    ("original.gguf", &["gguf", "--names", "original"]),
];

/// From every container into every other, with equal tensors and equal pictures.
fn every_way(name: &str, kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let first = recorded(&folder, name);
    let expected = values(&first);
    let picture = draw(&first, &path(&folder, "x.png"), &[]);
    for (from, to) in CONTAINERS {
        convert(&first, to, kind, &path(&folder, from));
    }
    for (from, _) in CONTAINERS {
        let from = path(&folder, from);
        assert!(draw(&from, &path(&folder, "x.png"), &[]) == picture, "{from} draws another picture");
        for (container, to) in CONTAINERS {
            let again = path(&folder, &format!("again-{container}"));
            convert(&from, to, kind, &again);
            // Under diffusers' names everything can be compared with what there was at first.
            let back = path(&folder, "back.gguf");
            convert(&again, &["gguf"], kind, &back);
            assert!(values(&back) == expected, "{from} to {container} changed tensors");
            if container == "folder" {
                assert!(values(&again) == expected, "{from} to a folder changed tensors");
                fs::remove_dir_all(&again).unwrap();
            }
        }
    }
}

#[test]
fn every_container_becomes_every_other_in_half_precision() {
    every_way("tiny-sd15", "f16");
}

#[test]
fn every_container_becomes_every_other_in_single_precision() {
    every_way("tiny-sdxl", "f32");
}

#[test]
fn stable_diffusion_2_goes_through_open_clips_names() {
    let folder = tempfile::tempdir().unwrap();
    let first = recorded(&folder, "tiny-sd21");
    let single = path(&folder, "single.safetensors");
    convert(&first, &["checkpoint"], "f16", &single);
    let listed = run(&["inspect", &single]);
    assert!(listed.contains("cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"), "{listed}");
    assert!(listed.contains("modelspec.prediction_type = v"), "{listed}");
    let [a, b] = ["a.png", "b.png"].map(|name| path(&folder, name));
    assert!(draw(&first, &a, &[]) == draw(&single, &b, &[]));
}

#[test]
fn every_kind_draws_and_comes_as_close_as_its_bits() {
    let folder = tempfile::tempdir().unwrap();
    let first = recorded(&folder, "tiny-sd15");
    let original = values(&first);
    let (out, saved) = (path(&folder, "x.png"), path(&folder, "x.safetensors"));
    let latents = |model: &str| {
        draw(model, &out, &["--save-latents", &saved]);
        weights::open_path(Path::new(&saved)).unwrap().read("final_latents").unwrap().to_f32()
    };
    let before = latents(&first);
    let name = "unet.mid_block.attentions.0.transformer_blocks.0.ff.net.2.weight";
    for (kind, dtype, file_type, weight, run) in [
        ("bf16", "BF16", "32", 0.003, 0.1),
        ("q8_0", "Q8_0", "7", 0.006, 0.1),
        ("q6_k", "Q6_K", "18", 0.02, 0.5),
        ("q5_1", "Q5_1", "9", 0.03, 0.5),
        ("q5_0", "Q5_0", "8", 0.04, 0.5),
        ("q5_k", "Q5_K", "16", 0.04, 0.5),
        ("q4_1", "Q4_1", "3", 0.07, 1.0),
        ("q4_k", "Q4_K", "14", 0.08, 1.0),
        ("q4_0", "Q4_0", "2", 0.09, 1.0),
    ] {
        let file = path(&folder, &format!("{kind}.gguf"));
        convert(&first, &["gguf"], kind, &file);
        let source = weights::open_path(Path::new(&file)).unwrap();
        assert_eq!(source.info(name).unwrap().dtype.as_str(), dtype);
        let error = relative_error(&original[name], &source.read(name).unwrap().to_f32());
        assert!(error < weight, "{kind} moved a weight by {error}");
        let error = relative_error(&before, &latents(&file));
        assert!(error < run, "{kind} moved the latents by {error}");
        let listed: Value = serde_json::from_str(&self::run(&["inspect", &file, "--json"])).unwrap();
        assert_eq!(listed["metadata"]["general.file_type"], file_type);
    }
    let single = path(&folder, "fp8.safetensors");
    convert(&first, &["checkpoint"], "f8_e4m3", &single);
    let error = relative_error(&before, &latents(&single));
    assert!(error < 1.0, "fp8 moved the latents by {error}");
}

#[test]
fn every_tensor_is_reported_and_a_whole_run_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let first = recorded(&folder, "tiny-sd15");
    let [file, report] = ["q4.gguf", "report.json"].map(|name| path(&folder, name));
    let measure = ["--measure", "--measure-steps", "2", "--measure-size", "32", "--measure-prompt", "a boat"];
    let asked = ["convert", "--model", &first, "--to", "gguf", "--type", "q4_0", "--out", &file, "--report", &report];
    let said = run(&[&asked[..], &measure].concat());
    assert!(said.contains("moved most of all") && said.contains("measured   cosine of the latents 0."), "{said}");
    assert!(said.contains("instead: kept in half precision"), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let tensors = report["tensors"].as_array().unwrap();
    let source = weights::open_path(Path::new(&file)).unwrap();
    assert_eq!(tensors.len(), source.tensors().len());
    for tensor in tensors {
        let info = source.info(tensor["name"].as_str().unwrap()).unwrap();
        assert_eq!(
            (tensor["type"].as_str().unwrap(), tensor["bytes"].as_u64()),
            (info.dtype.as_str(), Some(info.bytes))
        );
        let error = tensor["relative_error"].as_f64().unwrap();
        assert!(error < 0.15 && (error > 0.01) == (info.dtype == Dtype::Q4_0), "{tensor}");
    }
    let measured = &report["measured"];
    let cosine = measured["latent_cosine"].as_f64().unwrap();
    assert!(cosine > 0.5 && cosine < 1.0 && measured["psnr_db"].as_f64().unwrap() > 5.0, "{measured}");

    // The same bits draw the same picture.
    let same = path(&folder, "same.safetensors");
    let said =
        run(&[&["convert", "--model", &first, "--to", "checkpoint", "--type", "f16", "--out", &same], &measure[..]]
            .concat());
    assert!(said.contains("latents 1.000000, PSNR inf dB (2 steps, 32x32, seed 0)"), "{said}");
    assert!(
        refused(&[
            "convert",
            "--model",
            &first,
            "--to",
            "gguf",
            "--type",
            "f16",
            "--out",
            &file,
            "--measure-steps",
            "2"
        ])
        .contains("--measure")
    );
}

#[test]
fn a_denoiser_alone_is_written_as_comfyui_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = recorded(&folder, "tiny-sdxl");
    let file = path(&folder, "unet.gguf");
    let said = convert(&first, &["gguf", "--names", "comfyui"], "f16", &file);
    assert!(said.contains("left out   the text encoder, the autoencoder"), "{said}");
    let listed = run(&["inspect", &file]);
    for line in ["general.architecture = sdxl", "denoiser of a Stable Diffusion XL", "input_blocks.0.0.weight"] {
        assert!(listed.contains(line), "{listed}");
    }
    assert!(!listed.contains("model.diffusion_model"));
    let [a, b] = ["a.png", "b.png"].map(|name| path(&folder, name));
    assert!(draw(&first, &a, &[]) == draw(&file, &b, &["--base", &first]));
    // Quantised convolutions are matrices with their shape beside them.
    convert(&first, &["gguf", "--names", "comfyui"], "q8_0", &file);
    let name = "middle_block.0.in_layers.2.weight";
    let listed = run(&["inspect", &file, "--json"]);
    assert!(listed.contains(&format!("comfy.gguf.orig_shape.{name}")), "{listed}");
    let source = weights::open_path(Path::new(&file)).unwrap();
    assert_eq!((source.info(name).unwrap().dtype, source.info(name).unwrap().shape.len()), (Dtype::Q8_0, 4));
    // The original names alone keep convolutions as ggml's programs take them.
    convert(&first, &["gguf", "--names", "original"], "q8_0", &file);
    let source = weights::open_path(Path::new(&file)).unwrap();
    let dtype = |name: &str| source.info(&format!("model.diffusion_model.{name}")).unwrap().dtype;
    assert_eq!(dtype(name), Dtype::F16);
    assert_eq!(dtype("middle_block.1.transformer_blocks.0.ff.net.2.weight"), Dtype::Q8_0);
}

#[test]
fn what_a_container_cannot_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = recorded(&folder, "tiny-sd15");
    let out = path(&folder, "out");
    for (arguments, words) in [
        (&["--to", "checkpoint", "--type", "q8_0"][..], "safetensors has no quantised kinds"),
        (&["--to", "gguf", "--type", "f8_e4m3"], "a GGUF has no f8_e4m3"),
        (&["--to", "checkpoint", "--type", "f16", "--names", "comfyui"], "--names is for --to gguf"),
        (&["--to", "folder", "--type", "f16", "--manifest"], "a manifest is of one file"),
        (&["--to", "gguf", "--type", "q3_k"], "invalid value"),
        (&["--to", "gguf", "--type", "f16", "--report", "/nowhere/x.json"], "/nowhere does not exist"),
    ] {
        let error = refused(&[&["convert", "--model", &first, "--out", &out], arguments].concat());
        assert!(error.contains(words), "{error}");
        assert!(!Path::new(&out).exists());
    }
}
