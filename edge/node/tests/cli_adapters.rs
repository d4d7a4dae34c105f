//! LoRAs, learned words and other autoencoders, as users of the program give them, on the small models of `tests/golden/data`.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

mod support;

use golden::{Data, Kind, read_all, to_gguf, to_safetensors};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{refused, run};
use tempfile::TempDir;
use weights::{Dtype, TensorView, relative_error, write_safetensors};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }

    /// One of the recorded models in diffusers' layout.
    fn model(&self, name: &str) -> String {
        let files = Data::folder().model(name).unwrap();
        let (vae_config, vae) = files.vae.unwrap();
        let tokenizer = |pad: &str| json!({ "pad_token": pad }).to_string();
        let mut texts = vec![
            ("unet/config.json", files.unet_config),
            ("vae/config.json", vae_config),
            ("text_encoder/config.json", files.text_config),
            ("scheduler/scheduler_config.json", files.scheduler_config),
            ("tokenizer/vocab.json", files.vocab),
            ("tokenizer/merges.txt", files.merges),
            ("tokenizer/tokenizer_config.json", tokenizer(&files.pad_token)),
        ];
        let mut parts = vec![("unet/", WEIGHTS, files.unet), ("vae/", WEIGHTS, vae)];
        parts.push(("text_encoder/", "model.safetensors", files.text_encoder));
        if let Some(second) = files.text_encoder_2 {
            texts.push(("text_encoder_2/config.json", second.config));
            texts.push(("tokenizer_2/tokenizer_config.json", tokenizer(&second.pad_token)));
            parts.push(("text_encoder_2/", "model.safetensors", second.component));
        }
        for (file, text) in texts {
            self.write(&format!("{name}/{file}"), text.as_bytes());
        }
        for (part, file, component) in parts {
            let bytes = to_safetensors(&read_all(&*component.source).unwrap()).unwrap();
            self.write(&format!("{name}/{part}{file}"), &bytes);
        }
        self.file(name)
    }
}

fn recorded(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data").join(path)
}

fn lora(name: &str) -> String {
    recorded(&format!("models/tiny-lora/{name}.safetensors")).display().to_string()
}

fn tensor(file: &Path, name: &str) -> Vec<f32> {
    weights::open_path(file).unwrap().read(name).unwrap().to_f32()
}

/// Draws a recorded case with more arguments, and says how far its latents are from the reference's.
fn error(folder: &Folder, case: &str, model: &str, prompt_end: &str, more: &[&str]) -> f64 {
    let case = Data::folder().manifest().unwrap().cases.into_iter().find(|one| one.name == case).unwrap();
    let Kind::Text2img { request, .. } = case.kind else { panic!("a run from noise") };
    let reference = recorded(&case.file);
    let latents = folder.file("latents.safetensors");
    let raw = weights::open_path(&reference).unwrap().read("latents").unwrap();
    let view = TensorView { name: "latents", dtype: raw.dtype, shape: &raw.shape, bytes: &raw.bytes };
    write_safetensors(fs::File::create(&latents).unwrap(), [view], &std::collections::BTreeMap::new()).unwrap();
    let (saved, out) = (folder.file("saved.safetensors"), folder.file("x.png"));
    let prompt = format!("{}{prompt_end}", request.prompts[0]);
    let (steps, guidance) = (request.steps.get().to_string(), request.guidance.get().to_string());
    let settings = [
        ["--model", model],
        ["--prompt", &prompt],
        ["--negative-prompt", &request.negative_prompts[0]],
        ["--steps", &steps],
        ["--guidance", &guidance],
        ["--width", "64"],
        ["--height", "64"],
        ["--latents", &latents],
        ["--save-latents", &saved],
        ["--out", &out],
    ];
    run(&[&["generate"], settings.as_flattened(), more].concat());
    relative_error(&tensor(&reference, "final_latents"), &tensor(Path::new(&saved), "final_latents"))
}

#[test]
fn loras_of_every_spelling_draw_what_the_reference_draws() {
    let folder = Folder::new();
    let model = folder.model("tiny-sd15");
    let (first, second) = (lora("lora-0-diffusers"), lora("lora-1-kohya"));
    assert!(error(&folder, "sd15-lora-0", &model, "", &["--lora", &format!("{first}:0.7")]) < 1e-3);
    let both = ["--lora", &format!("{first}:0.5"), "--lora", &format!("{second}:0.9:0.9")];
    assert!(error(&folder, "sd15-lora-both", &model, "", &both) < 1e-3);
    assert!(error(&folder, "sd15-lora-1", &model, "", &["--lora", &second]) < 1e-3);
    assert!(error(&folder, "sd15-lora-1", &model, "", &[]) > 1e-2, "without it another picture is drawn");
    let dir = recorded("models/tiny-lora").display().to_string();
    assert!(error(&folder, "sd15-lora-1", &model, "<lora:lora-1-kohya:1>", &["--lora-dir", &dir]) < 1e-3);
    let xl = folder.model("tiny-sdxl");
    assert!(error(&folder, "sdxl-lora", &xl, "", &["--lora", &format!("{}:0.6", lora("lora-xl-kohya"))]) < 1e-3);
}

#[test]
fn prompts_of_one_command_have_loras_of_their_own() {
    let folder = Folder::new();
    let (model, dir) = (folder.model("tiny-sd15"), recorded("models/tiny-lora").display().to_string());
    let prompts = ["a house", "a house <lora:loha:0.8>", "a house <lora:lora-1-kohya:0.5>", "a cat", "a house"];
    let draw = |out: &str, prompts: &[&str]| {
        let out = folder.file(out);
        let usual = ["generate", "--model", &model, "--lora-dir", &dir, "--steps", "1", "--seed", "1", "--out", &out];
        let asked: Vec<&str> = prompts.iter().flat_map(|prompt| ["--prompt", prompt]).collect();
        run(&[&usual[..], &["--width", "64", "--height", "64"], &asked].concat());
    };
    let pixels = |name: &str| image::open(folder.file(name)).unwrap().into_rgb8();
    draw("all.png", &prompts);
    for (index, prompt) in prompts.iter().enumerate() {
        draw("one.png", &[prompt]);
        assert_eq!(pixels(&format!("all-{index}.png")), pixels("one.png"), "{prompt}");
    }
    assert_ne!(pixels("all-0.png"), pixels("all-1.png"));
    let one = ["generate", "--model", &model, "--prompt", "a", "--prompt", "b", "--save-latents", "x"];
    assert!(refused(&one).contains("--save-latents is for one --prompt"));
}

#[test]
fn a_lora_lies_over_quantised_weights_as_well() {
    let folder = Folder::new();
    let file = to_gguf(&Data::folder().model("tiny-sd15").unwrap(), Dtype::Q8_0).unwrap();
    folder.write("sd15.gguf", &file);
    let model = folder.file("sd15.gguf");
    let with = error(&folder, "sd15-lora-1", &model, "", &["--lora", &lora("lora-1-kohya")]);
    assert!(with < 0.1, "{with}");
    assert_eq!(fs::read(&model).unwrap(), file, "the base is what it was");
}

#[test]
fn an_autoencoder_of_ones_own_and_learned_words_are_taken() {
    let folder = Folder::new();
    let model = folder.model("tiny-sd15");
    let vae = format!("{model}/vae");
    let single = format!("{vae}/{WEIGHTS}");
    for path in [&vae, &single] {
        assert!(error(&folder, "sd15-text2img-noguidance", &model, "", &["--vae", path, "--scheduler", "ddim"]) < 1e-3);
    }
    let word = format!("thing={}", lora("embedding-3tok"));
    let out = folder.file("word.png");
    let usual = ["generate", "--model", &model, "--width", "64", "--height", "64", "--steps", "1", "--seed", "1"];
    run(&[&usual[..], &["--prompt", "a thing", "--embedding", &word, "--out", &out]].concat());
    let plain = folder.file("plain.png");
    run(&[&usual[..], &["--prompt", "a thing", "--out", &plain]].concat());
    let pixels = |file: &str| image::open(file).unwrap().into_rgb8();
    assert_ne!(pixels(&out), pixels(&plain));
}

#[test]
fn adapters_of_another_family_are_refused_with_a_sentence() {
    let folder = Folder::new();
    let (model, xl) = (folder.model("tiny-sd15"), folder.model("tiny-sdxl"));
    let ask = |model: &str, more: &[&str]| {
        let usual = ["generate", "--model", model, "--prompt", "x", "--width", "64", "--height", "64", "--steps", "1"];
        let out = folder.file("x.png");
        refused(&[&usual[..], &["--out", &out], more].concat())
    };
    assert!(ask(&model, &["--lora", &lora("lora-xl-kohya")]).contains("another family"));
    assert!(ask(&model, &["--lora", &lora("embedding-3tok")]).contains("no LoRA"));
    assert!(ask(&model, &["--embedding", &lora("embedding-xl-2tok")]).contains("another family"));
    assert!(ask(&xl, &["--embedding", &lora("embedding-3tok")]).contains("another family"));
    assert!(ask(&model, &["--vae", &lora("lora-1-kohya")]).contains("no autoencoder"));
    assert!(ask(&model, &["--lora", "nowhere.safetensors"]).contains("nowhere.safetensors"));
}
