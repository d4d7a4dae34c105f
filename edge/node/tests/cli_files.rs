//! Models in every form that people have, through the program.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

mod support;

use diffusion::{
    checkpoint,
    pipeline::{Component, ModelFiles},
};
use golden::{Data, Tensors, read_all, to_gguf, to_safetensors};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{refused, run};
use tempfile::TempDir;
use weights::Dtype;

fn path(folder: &TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.display().to_string();
    (path, text)
}

fn write(path: &Path, parts: &[Component]) {
    let mut tensors = Tensors::new();
    for part in parts {
        tensors.extend(read_all(&*part.source).unwrap());
    }
    fs::write(path, to_safetensors(&tensors).unwrap()).unwrap();
}

fn model() -> ModelFiles {
    Data::folder().model("tiny-sd15").unwrap()
}

fn draw(model: &str, out: &str, more: &[&str]) -> Vec<u8> {
    let fixed = ["generate", "--prompt", "a boat", "--steps", "2", "--seed", "7", "--width", "32", "--height", "32"];
    run(&[&fixed[..], &["--model", model, "--out", out], more].concat());
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(out).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels
}

#[test]
fn a_single_file_draws_what_its_folder_draws() {
    let folder = tempfile::tempdir().unwrap();
    let files = model();
    let ((single, single_name), (gguf, gguf_name)) = (path(&folder, "x.safetensors"), path(&folder, "x.gguf"));
    write(&single, &checkpoint::under_original_names(&files).unwrap().1);
    fs::write(&gguf, to_gguf(&files, Dtype::F16).unwrap()).unwrap();
    let [first, second] = ["a.png", "b.png"].map(|name| path(&folder, name).1);
    assert_eq!(draw(&single_name, &first, &[]), draw(&gguf_name, &second, &[]));

    let told: Value = serde_json::from_str(&run(&["inspect", &single_name, "--json"])).unwrap();
    assert_eq!(told["contents"], "a whole Stable Diffusion 1.x");
    assert_eq!(told["family"], "Stable Diffusion 1.x");
}

#[test]
fn a_denoiser_alone_is_told_and_takes_the_rest_from_another_model() {
    let folder = tempfile::tempdir().unwrap();
    let files = model();
    let ((unet, unet_name), (gguf, gguf_name)) = (path(&folder, "unet.safetensors"), path(&folder, "x.gguf"));
    write(&unet, &[checkpoint::denoiser_under_original_names(&files, "").unwrap().1]);
    fs::write(&gguf, to_gguf(&files, Dtype::F16).unwrap()).unwrap();
    let out = path(&folder, "a.png").1;
    let asked = ["generate", "--prompt", "a boat", "--model", &unet_name, "--out", &out];
    assert!(refused(&asked).contains("lacks `vae`"));
    let other = path(&folder, "b.png").1;
    assert_eq!(draw(&unet_name, &out, &["--base", &gguf_name]), draw(&gguf_name, &other, &[]));
    assert!(run(&["inspect", &unet_name]).contains("the denoiser of a Stable Diffusion 1.x"));
}

#[test]
fn files_of_other_things_are_refused_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (file, name) = path(&folder, "innocent-name.safetensors");
    let out = path(&folder, "a.png").1;
    let asked = ["generate", "--prompt", "a boat", "--model", &name, "--out", &out];
    for (tensor, words) in [
        ("lora_unet_x.lora_up.weight", "a LoRA"),
        ("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"),
        ("something", "not known here"),
    ] {
        let raw = weights::RawTensor { dtype: Dtype::F32, shape: vec![1], bytes: vec![0; 4] };
        fs::write(&file, to_safetensors(&Tensors::from([(tensor.to_owned(), raw)])).unwrap()).unwrap();
        let error = refused(&asked);
        assert!(error.contains(words), "{error}");
        assert!(run(&["inspect", &name]).contains(words));
    }
}
