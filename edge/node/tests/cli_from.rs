//! Pictures of every making are drawn again by what they say of themselves, to the last byte.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, to_gguf};
use image::{Rgb, RgbImage};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;
use weights::Dtype;

/// A folder with a model in it, pictures, and whatever networks a test puts there.
struct Folder(TempDir);

impl Folder {
    fn new(model: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let files = Data::folder().model(model).unwrap();
        fs::write(folder.path("files/model.gguf"), to_gguf(&files, Dtype::F32).unwrap()).unwrap();
        let colour = |x: u32, y: u32| Rgb([(x * 3 % 256) as u8, (y * 5 % 256) as u8, ((x + y) % 200) as u8]);
        RgbImage::from_fn(96, 64, colour).save(folder.path("files/picture.png")).unwrap();
        let is_inside = |x, y| (20..60).contains(&x) && (10..40).contains(&y);
        let white = |x, y| Rgb([if is_inside(x, y) { 255 } else { 0 }; 3]);
        RgbImage::from_fn(96, 64, white).save(folder.path("files/mask.png")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(&self, name: &str) -> String {
        self.path(&format!("files/{name}")).display().to_string()
    }

    /// A recorded file or folder of files, beside the model.
    fn recorded(&self, path: &str) -> String {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data").join(path);
        let to = self.path("files").join(from.file_name().unwrap());
        let copy = |from: &Path, to: &Path| {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        };
        if from.is_dir() {
            for entry in fs::read_dir(&from).unwrap() {
                let inner = entry.unwrap().path();
                copy(&inner, &to.join(inner.file_name().unwrap()));
            }
        } else {
            copy(&from, &to);
        }
        to.display().to_string()
    }

    fn ask(&self, out: &Path, more: &[&str]) -> Output {
        // A cache of its own, so that nothing is found that a user pulled.
        let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
        command.env("XDG_CACHE_HOME", self.path("cache")).arg("generate").arg("--out").arg(out).args(more);
        command.output().unwrap()
    }

    fn draw(&self, name: &str, more: &[&str]) -> (Vec<u8>, String) {
        let out = self.path(name);
        let output = self.ask(&out, more);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        (image::open(out).unwrap().into_rgb8().into_raw(), String::from_utf8(output.stdout).unwrap())
    }

    fn refused(&self, more: &[&str]) -> String {
        let output = self.ask(&self.path("refused.png"), more);
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Draws, and draws again with nothing but the picture and the folder of the files.
    fn twice(&self, more: &[&str]) -> Vec<u8> {
        let model = self.file("model.gguf");
        let prompt = if more.contains(&"--prompt") { &[][..] } else { &["--prompt", "a bowl of soup"] };
        let usual = [&["--model", &model, "--seed", "3", "--steps", "2"], prompt].concat();
        let (first, _) = self.draw("out/first.png", &[&usual[..], more].concat());
        let (from, models) = (self.path("out/first.png"), self.path("files"));
        let again = ["--from", from.to_str().unwrap(), "--models", models.to_str().unwrap()];
        let (second, report) = self.draw("out/second.png", &again);
        assert!(first == second, "{more:?}: the pixels differ");
        assert!(!report.contains("not followed"), "{more:?}: {report}");
        assert_eq!(self.said("out/first.png"), self.said("out/second.png"), "{more:?}");
        first
    }

    fn said(&self, name: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_darkroom")).arg("inspect").arg(self.path(name)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

const SIZE: [&str; 4] = ["--width", "64", "--height", "64"];

#[test]
fn a_picture_with_any_switch_is_drawn_again() {
    let folder = Folder::new("tiny-sd15");
    let plain = folder.twice(&SIZE);
    for flags in [
        &["--freeu", "1.5,1.6,0.9,0.2"][..],
        &["--token-merging", "0.5"],
        &["--sag", "0.75"],
        &["--tiling"],
        &["--tiling=y"],
        &["--clip-skip", "2", "--guidance-rescale", "0.5"],
        &["--scheduler", "ddim", "--eta", "0.5"],
    ] {
        assert!(folder.twice(&[&SIZE, flags].concat()) != plain, "{flags:?}");
    }
    folder.twice(&[&SIZE[..], &["--prediction", "v", "--ema", "--base", &folder.file("model.gguf")]].concat());
    folder.twice(&["--width", "544", "--height", "64", "--panorama", "--circular", "--vae-tiling", "on"]);
    let said = folder.said("out/first.png");
    assert!(
        said.contains("Panorama: True") && said.contains("Model: model") && said.contains("Model hash: "),
        "{said}"
    );
}

#[test]
fn pictures_of_a_batch_and_of_larger_models_are_drawn_again() {
    let folder = Folder::new("tiny-sdxl");
    let told = ["--original-size", "512x1024", "--crop", "32x16", "--target-size", "640x768"];
    let plain = folder.twice(&SIZE);
    assert!(folder.twice(&[&SIZE[..], &told].concat()) != plain);
    let model = folder.file("model.gguf");
    let two = ["--model", &model, "--prompt", "a", "--prompt", "b", "--batch", "2", "--seed", "7", "--steps", "1"];
    let output = folder.ask(&folder.path("files/x.png"), &[&two[..], &SIZE].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for index in 0..4 {
        let from = folder.path(&format!("files/x-{index}.png"));
        let drawn = image::open(&from).unwrap().into_rgb8().into_raw();
        assert!(drawn == folder.draw("y.png", &["--from", from.to_str().unwrap()]).0, "picture {index}");
    }
}

#[test]
fn a_second_pass_is_drawn_again() {
    let folder = Folder::new("tiny-sd15");
    let network = folder.recorded("models/tiny-upscalers/realesr-general-x4v3.safetensors");
    for upscaler in ["latent-bicubic-antialiased", "lanczos", &network] {
        let scaled = ["--hires-scale", "1.5", "--hires-steps", "3", "--hires-strength", "0.6"];
        folder.twice(&[&SIZE, &scaled[..], &["--hires-upscaler", upscaler, "--token-merging", "0.5"]].concat());
    }
    folder.twice(&[&SIZE[..], &["--hires-scale", "2"]].concat());
    assert!(!folder.said("out/first.png").contains("Token merging"));
    assert!(folder.said("out/first.png").contains("Denoising strength: 0.7, Hires upscale: 2, Hires upscaler: Latent"));
}

#[test]
fn a_picture_with_adapters_is_drawn_again() {
    let folder = Folder::new("tiny-sd15");
    let first = folder.recorded("models/tiny-lora/lora-0-diffusers.safetensors");
    let second = folder.recorded("models/tiny-lora/lora-1-kohya.safetensors");
    let word = folder.recorded("models/tiny-lora/embedding-3tok.safetensors");
    let vae = folder.recorded("models/tiny-sd15/vae");
    let (first, word) = (format!("{first}:0.5:0.25"), format!("soup={word}"));
    let files = folder.file("");
    let all = ["--lora", &first, "--lora", &second, "--embedding", &word, "--vae", &vae];
    let drawn = folder.twice(&[&SIZE, &all[..]].concat());
    let said = folder.said("out/first.png");
    assert!(said.starts_with("<lora:lora-0-diffusers:0.25:0.5><lora:lora-1-kohya:1:1>a bowl of soup\n"), "{said}");
    assert!(said.contains("Lora hashes: \"lora-0-diffusers: ") && said.contains("TI hashes: \"soup: "), "{said}");
    let plain = folder.twice(&[&SIZE, &all[..], &["--plain-prompt"]].concat());
    assert!(drawn == plain, "a plain prompt has its LoRAs elsewhere");
    let tagged = ["--prompt", "soup <lora:lora-1-kohya:0.5>", "--lora-dir", &files];
    folder.twice(&[&SIZE[..], &tagged].concat());

    // Another file of that name is not taken for it.
    fs::copy(folder.path("files/lora-1-kohya.safetensors"), folder.path("files/lora-0-diffusers.safetensors")).unwrap();
    folder.draw(
        "x.png",
        &[
            &["--model", &folder.file("model.gguf"), "--prompt", "x", "--seed", "1", "--steps", "1"],
            &SIZE[..],
            &["--lora", &second],
        ]
        .concat(),
    );
    let from = folder.path("x.png").display().to_string();
    fs::write(folder.path("files/lora-1-kohya.safetensors"), [1; 100]).unwrap();
    let error = folder.refused(&["--from", &from, "--models", &files]);
    assert!(error.contains("is another file of that name") && error.contains("--lora"), "{error}");
}

#[test]
fn a_steered_picture_is_drawn_again() {
    let folder = Folder::new("tiny-sd15");
    let (first, second) = (folder.recorded("models/tiny-controlnet-0"), folder.recorded("models/tiny-controlnet-1"));
    let network = folder.recorded("models/tiny-line-art/model.safetensors");
    let picture = folder.file("picture.png");
    let one = ["--control-net", &first, "--control-image", &picture];
    let guessed = ["--guess-mode", "--control-preprocessor", "canny:20:60", "--control-end", "0.5"];
    folder.twice(&[&SIZE, &one[..], &guessed].concat());
    let said = folder.said("out/first.png");
    let expected =
        ["\"Module: canny, Model: tiny-controlnet-0 [", "Threshold A: 20, Threshold B: 60, Guidance Start: 0"];
    assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    assert!(said.contains("Control Mode: ControlNet is more important"), "{said}");
    let two = ["--control-net", &second, "--control-image", &picture, "--control-weight", "0.5"];
    let prepared = ["--control-preprocessor", "line-art", "--control-preprocessor", "tile:3", "--line-art-network"];
    folder.twice(&[&SIZE, &one[..], &two, &prepared, &[&network]].concat());

    // The picture that steers may be another one.
    let from = folder.path("out/first.png").display().to_string();
    fs::remove_file(folder.path("files/picture.png")).unwrap();
    let models = folder.path("files").display().to_string();
    let error = folder.refused(&["--from", &from, "--models", &models]);
    assert!(error.contains("the control image 0 `picture.png` (SHA-256 "), "{error}");
    assert!(error.contains("give it with --control-image"), "{error}");
    let mask = folder.file("mask.png");
    folder.draw("x.png", &["--from", &from, "--models", &models, "--control-image", &mask, "--control-image", &mask]);
}

#[test]
fn a_picture_of_a_picture_is_drawn_again() {
    let folder = Folder::new("tiny-sd15");
    let (picture, mask) = (folder.file("picture.png"), folder.file("mask.png"));
    let init = ["--init-image", &picture, "--strength", "0.7"];
    folder.twice(&[&SIZE, &init[..]].concat());
    let soft = ["--mask", &mask, "--mask-blur", "1.5", "--invert-mask", "--mask-cells", "corner"];
    for content in ["original", "fill", "noise", "nothing"] {
        folder.twice(&[&init[..], &soft, &["--masked-content", content]].concat());
    }
    let net = folder.recorded("models/tiny-controlnet-0");
    let steered = ["--control-net", &net, "--control-image", &picture];
    let only = ["--mask", &mask, "--only-masked", "--only-masked-padding", "8"];
    folder.twice(&[&SIZE, &init[..], &only, &steered].concat());
    folder.twice(&[&init[..], &["--outpaint-left", "32", "--outpaint-top", "64", "--mask-blur", "2"]].concat());

    let from = folder.path("out/first.png").display().to_string();
    let error = folder.refused(&["--from", &from]);
    assert!(error.contains("the init image `picture.png`") && error.contains("give it with --init-image"), "{error}");
    let error = folder.refused(&["--from", &from, "--init-image", &picture]);
    assert!(error.contains("the model `model` (SHA-256 ") && error.contains("give it with --model"), "{error}");
    let model = folder.file("model.gguf");
    folder.draw("x.png", &["--from", &from, "--init-image", &picture, "--model", &model]);
    let error = folder.refused(&["--prompt", "x", "--model", &model, "--strength", "0.5"]);
    assert!(error.contains("--strength needs --init-image"), "{error}");
}

#[test]
fn a_model_is_found_beside_the_picture_or_among_those_that_were_pulled() {
    let folder = Folder::new("tiny-sd15");
    let (model, beside) = (folder.file("model.gguf"), folder.path("files/first.png"));
    let usual = ["--model", &model, "--prompt", "soup", "--seed", "3", "--steps", "1"];
    let (first, _) = folder.draw("files/first.png", &[&usual, &SIZE[..]].concat());
    assert!(first == folder.draw("x.png", &["--from", beside.to_str().unwrap()]).0);
    fs::rename(&model, folder.path("cache/darkroom/models/someone/something/model.gguf")).unwrap();
    assert!(first == folder.draw("x.png", &["--from", beside.to_str().unwrap()]).0);
    let error = folder.refused(&["--prompt", "x"]);
    assert!(error.contains("--model"), "{error}");
}
