//! The flags that choose a scheduler, as users of the program give them.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, read_all, to_safetensors};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// The recorded model in diffusers' layout, under a name of its own.
fn model(folder: &Path) -> String {
    let files = Data::folder().model("tiny-sd15").unwrap();
    let (vae_config, vae) = files.vae.unwrap();
    let pad_token = format!("{{\"pad_token\":\"{}\"}}", files.pad_token);
    let weights = |part: diffusion::pipeline::Component| to_safetensors(&read_all(&*part.source).unwrap()).unwrap();
    for (file, bytes) in [
        ("unet/config.json", files.unet_config.into_bytes()),
        ("vae/config.json", vae_config.into_bytes()),
        ("text_encoder/config.json", files.text_config.into_bytes()),
        ("scheduler/scheduler_config.json", files.scheduler_config.into_bytes()),
        ("tokenizer/vocab.json", files.vocab.into_bytes()),
        ("tokenizer/merges.txt", files.merges.into_bytes()),
        ("tokenizer/tokenizer_config.json", pad_token.into_bytes()),
        ("unet/diffusion_pytorch_model.safetensors", weights(files.unet)),
        ("vae/diffusion_pytorch_model.safetensors", weights(vae)),
        ("text_encoder/model.safetensors", weights(files.text_encoder)),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder.display().to_string()
}

fn generate(model: &str, out: &str, flags: &[&str]) -> Output {
    let usual =
        ["generate", "--model", model, "--prompt", "a red apple", "--width", "64", "--height", "64", "--seed", "3"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
    command.args(usual).args(["--steps", "2", "--out", out]).args(flags).output().unwrap()
}

#[test]
fn schedulers_go_by_all_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(&folder.path().join("model"));
    let out = folder.path().join("x.png").display().to_string();
    let picture = |flags: &[&str]| {
        let done = generate(&model, &out, flags);
        assert!(done.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&done.stderr));
        (String::from_utf8(done.stdout).unwrap(), image::open(&out).unwrap().into_rgb8().into_raw())
    };
    let (said, karras) = picture(&["--scheduler", "dpmpp-2m-karras"]);
    assert!(said.contains("DPM++ 2M Karras, 2 steps"), "{said}");
    for flags in [
        &["--scheduler", "DPM++ 2M Karras"][..],
        &["--scheduler", "K_DPMPP_2M", "--schedule-type", "Karras"],
        &["--scheduler", "DPMSolverMultistepScheduler", "--schedule-type", "automatic"],
    ] {
        assert_eq!(picture(flags).1, karras, "{flags:?}");
    }
    let (said, _) = picture(&["--scheduler", "Euler a"]);
    assert!(said.contains("Euler a, 2 steps"), "{said}");
    let (_, still) = picture(&["--scheduler", "ddim"]);
    assert_eq!(picture(&["--scheduler", "ddim", "--eta", "0"]).1, still);
    assert_ne!(picture(&["--scheduler", "ddim", "--eta", "1"]).1, still);
}

#[test]
fn wrong_names_list_the_right_ones() {
    for (flags, expected) in [
        (&["--scheduler", "DPM adaptive"][..], "dpmpp-2m-sde-karras"),
        (&["--scheduler", "euler", "--schedule-type", "wavy"], "SGM Uniform"),
        (&["--scheduler", "ddim", "--eta", "2"], "from 0 to 1"),
        (&["--schedule-type", "karras"], "--scheduler"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let model = model(&folder.path().join("model"));
        let done = generate(&model, &folder.path().join("x.png").display().to_string(), flags);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(expected), "{flags:?}: {said}");
    }
}
