//! `darkroom generate --safety-checker`, on the small models of `tests/golden/data`.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, read_all, to_gguf, to_safetensors};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use weights::{Dtype, RawTensor};

/// Writes the recorded model, and its checker with this threshold for every concept.
fn files(folder: &Path, threshold: f32) -> (PathBuf, PathBuf) {
    let data = Data::folder();
    let model = folder.join("tiny.gguf");
    fs::write(&model, to_gguf(&data.model("tiny-sd15").unwrap(), Dtype::F16).unwrap()).unwrap();
    let recorded = data.component("models/tiny-safety-checker/model.safetensors").unwrap();
    let mut tensors = read_all(&*recorded.source).unwrap();
    let bytes = threshold.to_le_bytes().repeat(17);
    tensors.insert("concept_embeds_weights".to_owned(), RawTensor { dtype: Dtype::F32, shape: vec![17], bytes });
    // A model's folder that has one, as diffusers lays it out.
    let checker = folder.join("safety_checker");
    fs::create_dir_all(&checker).unwrap();
    fs::write(checker.join("config.json"), data.text("models/tiny-safety-checker/config.json").unwrap()).unwrap();
    fs::write(checker.join("model.safetensors"), to_safetensors(&tensors).unwrap()).unwrap();
    (model, folder.to_owned())
}

fn generate(model: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
    command.args(["generate", "--prompt", "a bowl of soup", "--steps", "2", "--seed", "1"]);
    command.args(["--width", "64", "--height", "64", "--model"]).arg(model).arg("--out").arg(out).args(more);
    command.output().unwrap()
}

fn pixels(path: &Path) -> Vec<u8> {
    image::open(path).unwrap().into_rgb8().into_raw()
}

#[test]
fn what_is_flagged_is_written_as_the_flag_says_and_what_is_clear_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.png");
    let (model, checker) = files(folder.path(), 2.0);
    let checker = checker.display().to_string();
    assert!(generate(&model, &out, &[]).status.success());
    let plain = fs::read(&out).unwrap();
    assert!(generate(&model, &out, &["--safety-checker", &checker]).status.success());
    assert_eq!(fs::read(&out).unwrap(), plain);
    let plain = pixels(&out);

    for threshold in [-2.0, f32::NAN] {
        files(folder.path(), threshold);
        for answer in ["black", "blur", "pixelate", "notice"] {
            let made = generate(&model, &out, &["--safety-checker", &checker, "--on-flagged", answer]);
            let said = String::from_utf8(made.stdout).unwrap();
            assert!(made.status.success() && said.contains("(seed 1, flagged)"), "{answer}: {said}");
            assert_eq!(String::from_utf8(made.stderr).unwrap().contains("counts as flagged"), threshold.is_nan());
            let shown = pixels(&out);
            assert_ne!(shown, plain, "{answer}");
            assert_eq!(shown.iter().all(|&byte| byte == 0), answer == "black");
            let bytes = fs::read(&out).unwrap();
            assert!(!bytes.windows(4).any(|window| window == b"soup"), "{answer} tells the prompt");
        }
        fs::remove_file(&out).unwrap();
        let latents = folder.path().join("latents.safetensors");
        let saved = latents.display().to_string();
        let flags = ["--safety-checker", &checker, "--on-flagged", "withhold"];
        let made = generate(&model, &out, &flags);
        assert!(String::from_utf8(made.stdout).unwrap().contains("was flagged and is not written"));
        assert!(made.status.success() && !out.exists());
        let refused = generate(&model, &out, &[&flags[..], &["--save-latents", &saved]].concat());
        assert!(!refused.status.success() && !latents.exists() && !out.exists());
    }
}

#[test]
fn nothing_is_drawn_where_a_checker_is_wanted_and_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.png");
    let (model, _) = files(folder.path(), 2.0);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    for flags in [vec!["--safety-checker", &empty], vec!["--on-flagged", "black"]] {
        let made = generate(&model, &out, &flags);
        let error = String::from_utf8(made.stderr).unwrap();
        assert_eq!(made.status.code(), Some(1));
        assert!(error.contains("could not load the safety checker") && error.contains("is missing"), "{error}");
        assert!(!out.exists());
    }
}
