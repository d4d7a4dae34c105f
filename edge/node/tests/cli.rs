//! The program as its users run it, on the small models of `tests/golden/data`.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, Kind, read_all, to_safetensors};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;
use trainer::demo::{IMAGE_SIDE, Position, Scale, Sprites};
use weights::{Dtype, TensorView, relative_error, write_safetensors};

const PROMPT: &str = "a photo of an astronaut riding a horse on mars";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// A folder of one test's own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// One of the recorded models in diffusers' layout; the recording keeps once what models share.
    fn model(&self, name: &str) -> String {
        let files = Data::folder().model(name).unwrap();
        let folder = self.0.path().join(name);
        let write = |file: &str, bytes: &[u8]| {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let (vae_config, vae) = files.vae.unwrap();
        for (file, text) in [
            ("unet/config.json", &files.unet_config),
            ("vae/config.json", &vae_config),
            ("text_encoder/config.json", &files.text_config),
            ("scheduler/scheduler_config.json", &files.scheduler_config),
            ("tokenizer/vocab.json", &files.vocab),
            ("tokenizer/merges.txt", &files.merges),
            ("tokenizer/tokenizer_config.json", &json!({ "pad_token": files.pad_token }).to_string()),
        ] {
            write(file, text.as_bytes());
        }
        for (file, part) in [
            (UNET, files.unet),
            ("vae/diffusion_pytorch_model.safetensors", vae),
            ("text_encoder/model.safetensors", files.text_encoder),
        ] {
            write(file, &to_safetensors(&read_all(&*part.source).unwrap()).unwrap());
        }
        folder.display().to_string()
    }

    /// A Stable Diffusion 1.x with widths of 32.
    fn sd15(&self) -> String {
        self.model("tiny-sd15")
    }
}

/// A file that was recorded from the reference.
fn recorded(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data").join(path)
}

fn darkroom(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_darkroom")).args(arguments).output().unwrap()
}

/// Runs it, expects success, and gives standard output.
fn run(arguments: &[&str]) -> String {
    let output = darkroom(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} failed: {error}");
    assert!(error.is_empty(), "nothing is drawn where standard error is no terminal, but there was {error:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it, expects exit code 1 and no panic, and gives standard error.
fn refused(arguments: &[&str]) -> String {
    let output = darkroom(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

/// `darkroom generate` in the size of the small models.
fn generate<'a>(model: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["generate", "--model", model, "--out", out, "--prompt", PROMPT, "--width", "64", "--height", "64"];
    [&usual, more].concat()
}

fn tensor(file: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let raw = weights::open_path(file).unwrap().read(name).unwrap();
    (raw.shape.clone(), raw.to_f32())
}

#[test]
fn a_picture_carries_its_parameters_and_comes_again_from_its_seed() {
    let folder = Folder::new();
    let model = folder.sd15();
    let (first, second) = (folder.file("first.png"), folder.file("second.png"));
    let settings =
        ["--seed", "7", "--steps", "2", "--scheduler", "euler-a", "--negative-prompt", "Unschärfe", "--guidance", "5"];
    let said = run(&generate(&model, &first, &settings));
    assert!(said.contains("first.png (seed 7)") && said.contains("Euler a, 2 steps, 64x64"), "{said}");
    run(&generate(&model, &second, &settings));
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());

    let parameters = run(&["inspect", &first]);
    let expected = format!(
        "{PROMPT}\nNegative prompt: Unschärfe\nSteps: 2, Sampler: Euler a, CFG scale: 5, Seed: 7, Size: 64x64, Model: "
    );
    assert!(parameters.starts_with(&expected), "{parameters}");

    let other = folder.file("other.png");
    run(&generate(&model, &other, &["--steps", "2", "--noise", "torch-cpu", "--seed", "7"]));
    assert_ne!(fs::read(&first).unwrap(), fs::read(&other).unwrap());
}

#[test]
fn a_batch_is_several_files_and_each_has_its_own_seed() {
    let folder = Folder::new();
    let model = folder.sd15();
    let (batch, alone) = (folder.file("x.png"), folder.file("alone.png"));
    let said = run(&generate(&model, &batch, &["--steps", "2", "--batch", "2"]));
    let seed: u64 = said.split("x-1.png (seed ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
    assert!(said.contains(&format!("x-0.png (seed {})", seed - 1)), "{said}");
    run(&generate(&model, &alone, &["--steps", "2", "--seed", &seed.to_string()]));
    assert_eq!(run(&["inspect", &folder.file("x-1.png")]), run(&["inspect", &alone]));
    assert!(!Path::new(&batch).exists());
}

/// Writes the noise of a recorded batch's first picture, and gives its height and width in latents.
fn write_first_noise(reference: &Path, to: &str) -> [usize; 2] {
    let (shape, noise) = tensor(reference, "latents");
    let [batch, channels, height, width] = shape.try_into().unwrap();
    let bytes: Vec<u8> = noise[..noise.len() / batch].iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = [1, channels, height, width];
    let view = TensorView { name: "latents", dtype: Dtype::F32, shape: &shape, bytes: &bytes };
    write_safetensors(fs::File::create(to).unwrap(), [view], &BTreeMap::new()).unwrap();
    [height, width]
}

#[test]
fn saved_latents_equal_the_reference_s() {
    let folder = Folder::new();
    let (latents, saved, out) =
        (folder.file("latents.safetensors"), folder.file("saved.safetensors"), folder.file("x.png"));
    let mut count = 0;
    for case in Data::folder().manifest().unwrap().cases {
        let Kind::Text2img { model, request, loras } = case.kind else { continue };
        if !loras.is_empty() || model.contains("sdxl") || request.noise_seed.is_some() {
            continue; // In a file of their own.
        }
        count += 1;
        let reference = recorded(&case.file);
        let sides = write_first_noise(&reference, &latents).map(|side| (side * 8).to_string());
        let model = folder.model(&model);
        let settings = [
            ["--model", &model],
            ["--prompt", &request.prompts[0]],
            ["--negative-prompt", &request.negative_prompts[0]],
            ["--scheduler", "ddim"],
            ["--steps", &request.steps.get().to_string()],
            ["--guidance", &request.guidance.get().to_string()],
            ["--guidance-rescale", &request.guidance_rescale.get().to_string()],
            ["--clip-skip", &request.clip_skip.get().to_string()],
            ["--height", &sides[0]],
            ["--width", &sides[1]],
            ["--latents", &latents],
            ["--save-latents", &saved],
            ["--out", &out],
        ];
        run(&[&["generate"], settings.as_flattened()].concat());
        for name in ["final_latents", "image"] {
            let (found, expected) = (tensor(Path::new(&saved), name).1, tensor(&reference, name).1);
            let error = relative_error(&expected[..found.len()], &found);
            assert!(error < case.tolerance, "{name} of {} is off by {error}", case.name);
        }
    }
    assert!(count >= 8, "there were {count} cases");

    let model = folder.sd15();
    let error = refused(&generate(&model, &out, &["--latents", &saved]));
    assert!(error.contains("no tensor `latents`, only final_latents, image"), "{error}");
    let error = refused(&generate(&model, &out, &["--latents", &latents, "--batch", "2"]));
    assert!(error.contains("latents must be [2, 4, 8, 8]"), "{error}");
}

#[test]
fn a_picture_can_start_from_another() {
    let folder = Folder::new();
    let (model, first, second) = (folder.sd15(), folder.file("first.png"), folder.file("second.png"));
    let init = folder.file("init.jpg");
    image::RgbImage::from_fn(100, 40, |x, y| image::Rgb([x as u8, y as u8, 90])).save(&init).unwrap();
    run(&generate(&model, &first, &["--init-image", &init, "--strength", "0.5", "--steps", "4", "--seed", "1"]));
    assert!(run(&["inspect", &first]).contains("Denoising strength: 0.5"));
    run(&generate(&model, &second, &["--init-image", &init, "--strength", "1", "--steps", "4", "--seed", "1"]));
    assert_ne!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
}

#[test]
fn a_folder_becomes_one_gguf_that_draws_nearly_the_same() {
    let folder = Folder::new();
    let model = folder.sd15();
    let draw = |model: &str, name: &str| {
        let (out, saved) = (folder.file("x.png"), folder.file(name));
        run(&generate(model, &out, &["--steps", "2", "--seed", "3", "--save-latents", &saved]));
        tensor(Path::new(&saved), "final_latents").1
    };
    let before = draw(&model, "before.safetensors");
    for (kind, bound) in [("f32", 1e-6), ("f16", 1e-3), ("q8_0", 0.05), ("q4_0", 1.0)] {
        let out = folder.file(&format!("{kind}.gguf"));
        let said = run(&["convert", "--model", &model, "--to", "gguf", "--type", kind, "--out", &out]);
        assert!(said.contains("total") && said.contains("worst error"), "{said}");
        assert!(!Path::new(&format!("{out}.part")).exists());
        let error = relative_error(&before, &draw(&out, "after.safetensors"));
        assert!(error <= bound, "{kind} moved the latents by {error}");
    }
    let listed = run(&["inspect", &folder.file("q8_0.gguf"), "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["container"], "GGUF");
    assert_eq!(listed["metadata"]["general.architecture"], "stable-diffusion");
    let dtype = |name: &str| {
        let tensors = listed["tensors"].as_array().unwrap();
        tensors.iter().find(|tensor| tensor["name"] == name).unwrap()["dtype"].as_str().unwrap().to_owned()
    };
    assert_eq!(dtype("unet.conv_in.weight"), "F16");
    assert_eq!(dtype("unet.time_embedding.linear_1.weight"), "F16");
    assert_eq!(dtype("unet.mid_block.resnets.0.conv1.weight"), "Q8_0");
    assert_eq!(dtype("unet.mid_block.resnets.0.conv1.bias"), "F32");
}

#[test]
fn a_gguf_becomes_a_folder_again_and_a_manifest_fits_its_file() {
    let folder = Folder::new();
    let model = folder.sd15();
    let taesd = Path::new(&model).join("taesd");
    fs::create_dir(&taesd).unwrap();
    for file in ["config.json", WEIGHTS] {
        fs::copy(recorded("models/tiny-taesd").join(file), taesd.join(file)).unwrap();
    }
    let (gguf, again) = (folder.file("model.gguf"), folder.file("again"));
    let ranges = ["--manifest", "--range-size", "65536"];
    run(&[&["convert", "--model", &model, "--to", "gguf", "--type", "f16", "--out", &gguf], &ranges[..]].concat());
    let manifest = weights::Manifest::parse(&fs::read(folder.file("model.gguf.manifest.json")).unwrap()).unwrap();
    assert_eq!((manifest.file.as_str(), manifest.size), ("model.gguf", fs::metadata(&gguf).unwrap().len()));
    assert_eq!(manifest.ranges.len() as u64, manifest.size.div_ceil(65536));

    run(&["convert", "--model", &gguf, "--to", "safetensors", "--type", "f16", "--out", &again]);
    let name = "mid_block.resnets.0.conv1.weight";
    assert_eq!(tensor(&Path::new(&model).join(UNET), name), tensor(&Path::new(&again).join(UNET), name));
    let name = "decoder.layers.0.weight";
    assert_eq!(tensor(&taesd.join(WEIGHTS), name), tensor(&Path::new(&again).join("taesd").join(WEIGHTS), name));
    run(&generate(&gguf, &folder.file("x.png"), &["--steps", "1"]));
    let listed = run(&["inspect", &again]);
    assert!(listed.contains("container  folder") && listed.contains("unet.conv_in.weight"), "{listed}");

    let error = refused(&["convert", "--model", &gguf, "--to", "safetensors", "--type", "f16", "--out", &again]);
    assert!(error.contains("is not an empty folder"), "{error}");
    let error = refused(&["convert", "--model", &gguf, "--to", "safetensors", "--type", "q8_0", "--out", "x"]);
    assert!(error.contains("safetensors has no quantised kinds"), "{error}");
}

#[test]
fn bad_inputs_are_refused_with_a_sentence() {
    let folder = Folder::new();
    let model = folder.sd15();
    let out = folder.file("x.png");
    let with = |more: &[&str]| refused(&generate(&model, &out, more));
    let cases: [(&[&str], &str); 7] = [
        (&["--steps", "0"], "steps is 0, but must be between 1 and 1000"),
        (&["--guidance", "-1"], "guidance is -1, but must be between 0 and 50"),
        (&["--init-image", "a.png", "--strength", "2"], "strength is 2, but must be between 0 and 1"),
        (&["--scheduler", "plmz"], "scheduler is `plmz`, but must be one of ddim, euler"),
        (&["--batch", "1.5"], "`1.5` is not a whole number"),
        (&["--init-image", "/nowhere.png"], "could not read the picture /nowhere.png"),
        (&["--latents", "/nowhere.safetensors"], "could not read the latents in /nowhere.safetensors"),
    ];
    for (arguments, sentence) in cases {
        let error = with(arguments);
        assert!(error.contains(sentence), "{error}");
    }
    let sized = |width| refused(&["generate", "--model", &model, "--prompt", "x", "--out", &out, "--width", width]);
    assert!(sized("70").contains("width is 70, but must be a multiple of 8"));
    let missing = refused(&generate("/nowhere", &out, &[]));
    assert!(missing.contains("`/nowhere` is missing"), "{missing}");
    let unwritable = refused(&generate(&model, "/nowhere/x.png", &[]));
    assert!(unwritable.contains("the folder /nowhere does not exist"), "{unwritable}");
    let jpeg = refused(&generate(&model, "x.jpg", &[]));
    assert!(jpeg.contains("must end in .png"), "{jpeg}");
    assert!(refused(&["inspect", "/nowhere"]).contains("/nowhere does not exist"));
}

#[test]
fn damaged_models_are_refused_with_a_sentence() {
    let folder = Folder::new();
    let out = folder.file("x.png");

    let pickle = folder.file("model.ckpt");
    fs::write(&pickle, b"PK\x03\x04 and so on").unwrap();
    for error in [refused(&generate(&pickle, &out, &[])), refused(&["inspect", &pickle])] {
        assert!(error.contains("runs code of its author's") && error.contains("save_file"), "{error}");
    }

    let truncated = folder.file("truncated.safetensors");
    let unet = fs::read(recorded("models/tiny-sd15/unet/diffusion_pytorch_model.safetensors")).unwrap();
    fs::write(&truncated, &unet[..unet.len() / 2]).unwrap();
    for error in [refused(&generate(&truncated, &out, &[])), refused(&["inspect", &truncated])] {
        assert!(error.contains("truncated.safetensors") && error.contains("not a valid safetensors file"), "{error}");
    }

    let alone = folder.file("unet.safetensors");
    fs::write(&alone, &unet).unwrap();
    let error = refused(&generate(&alone, &out, &[]));
    assert!(error.contains("without all that a picture needs") && error.contains("lacks `vae`"), "{error}");
    let listed = run(&["inspect", &alone]);
    assert!(listed.contains("family     Stable Diffusion 1.x (cross_attention_dim 32)"), "{listed}");
}

/// Whether the process handles SIGINT itself, which it does from the moment when its model is loaded.
#[cfg(target_os = "linux")]
fn listens(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_a_run_within_a_step() {
    use std::{
        process::Stdio,
        thread,
        time::{Duration, Instant},
    };

    let folder = Folder::new();
    let (model, out) = (folder.sd15(), folder.file("x.png"));
    let child = Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(["generate", "--model", &model, "--out", &out, "--prompt", PROMPT, "--steps", "1000"])
        .args(["--width", "256", "--height", "256"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    while !listens(id) {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
    let pressed = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "darkroom: cancelled\n");
    assert!(pressed.elapsed() < Duration::from_secs(10), "{:?}", pressed.elapsed());
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_judge_wants_a_picture_of_the_demo_s_size() {
    let folder = Folder::new();
    let (right, wrong) = (folder.file("right.png"), folder.file("wrong.png"));
    let drawn = Sprites::load().unwrap().draw(1, 4, Scale::Large, Position::Left);
    image::save_buffer(&right, &drawn.rgb, drawn.width, drawn.height, image::ColorType::Rgb8).unwrap();
    image::RgbImage::from_pixel(30, 30, image::Rgb([40, 90, 210])).save(&wrong).unwrap();
    let verdict: Value = serde_json::from_str(&run(&["judge", &right, "--json"])).unwrap();
    assert_eq!((&verdict["object"], &verdict["colour"]), (&json!("cat"), &json!("blue")));
    assert!(verdict["correlation"].as_f64().unwrap() > 0.9);
    let sentence = format!("is 30 x 30, but the demo's pictures are {IMAGE_SIDE} x {IMAGE_SIDE}");
    assert!(refused(&["judge", &wrong]).contains(&sentence));
}
