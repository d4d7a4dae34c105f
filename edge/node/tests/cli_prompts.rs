//! Prompts on the command line, and pictures that are drawn again by what they say of themselves.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, to_gguf};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Output},
};
use tempfile::TempDir;
use weights::Dtype;

const PROMPT: &str = "a [red:small:1] house AND a (cloud:1.3) :0.4";

/// A folder with the small model in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let files = Data::folder().model("tiny-sd15").unwrap();
        fs::write(folder.file("model.gguf"), to_gguf(&files, Dtype::F32).unwrap()).unwrap();
        folder
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn generate(&self, out: &str, more: &[&str]) -> Output {
        let (model, out) = (self.file("model.gguf"), self.file(out));
        darkroom(&[&["generate", "--model", &model, "--out", &out], more].concat())
    }

    /// Draws, and gives the pixels and what was said.
    fn draw(&self, out: &str, more: &[&str]) -> (Vec<u8>, String) {
        let output = self.generate(out, more);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        let pixels = image::open(self.file(out)).unwrap().into_rgb8().into_raw();
        (pixels, String::from_utf8(output.stdout).unwrap())
    }

    fn refused(&self, more: &[&str]) -> String {
        let output = self.generate("refused.png", more);
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn inspect(&self, name: &str) -> Value {
        let output = darkroom(&["inspect", "--json", &self.file(name)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A PNG of one text.
    fn png(&self, name: &str, key: &str, text: &str) -> String {
        let file = fs::File::create(self.file(name)).unwrap();
        let mut encoder = png::Encoder::new(file, 1, 1);
        encoder.add_text_chunk(key.to_owned(), text.to_owned()).unwrap();
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        self.file(name)
    }
}

fn darkroom(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_darkroom")).args(arguments).output().unwrap()
}

#[test]
fn a_picture_is_drawn_again_by_what_it_says_of_itself() {
    let folder = Folder::new();
    let settings =
        ["--prompt", PROMPT, "--negative-prompt", "blurry,\nlow quality", "--steps", "3", "--seed", "12345678901"];
    let more = ["--guidance", "4.7", "--guidance-rescale", "0.3", "--clip-skip", "2", "--clip-skip-negative"];
    let sized = ["--width", "64", "--height", "32", "--noise", "torch-cpu", "--scheduler", "euler-a"];
    let (first, _) = folder.draw("first.png", &[&settings[..], &more, &sized].concat());
    let said = folder.inspect("first.png");
    assert_eq!(said["picture"]["prompt"], PROMPT);
    assert_eq!((&said["picture"]["steps"], &said["picture"]["seed"]), (&3.into(), &12_345_678_901_u64.into()));
    assert_eq!((&said["picture"]["scheduler"], &said["picture"]["width"]), (&"euler-a".into(), &64.into()));

    let from = folder.file("first.png");
    let (again, report) = folder.draw("again.png", &["--from", &from]);
    assert!(first == again, "the pixels differ");
    assert!(!report.contains("not followed"), "{report}");
    assert_eq!(folder.inspect("again.png"), said);
    let (other, _) = folder.draw("other.png", &["--from", &from, "--seed", "1"]);
    assert!(first != other, "a flag goes before what the picture says");
    let third = folder.file("again.png");
    assert!(first == folder.draw("third.png", &["--from", &third]).0);
}

#[test]
fn brackets_are_words_where_a_prompt_is_plain() {
    let folder = Folder::new();
    let fixed = ["--steps", "1", "--seed", "1", "--width", "32", "--height", "32", "--prompt"];
    let draw = |name: &str, prompt: &str, more: &[&str]| folder.draw(name, &[&fixed[..], &[prompt], more].concat()).0;
    let (weighed, plain) =
        (draw("a.png", "a (red:1.5) house", &[]), draw("b.png", "a (red:1.5) house", &["--plain-prompt"]));
    assert!(weighed != plain);
    assert!(draw("c.png", "a red house", &[]) == draw("d.png", "a red house", &["--plain-prompt"]));
    let from = folder.file("b.png");
    assert!(plain == folder.draw("e.png", &["--from", &from]).0, "the picture says that its prompt is plain");

    let error = folder.refused(&[&fixed[..], &["a <lora:unheard-of:0.8>"]].concat());
    assert!(error.contains("unheard-of"), "{error}");
    let error = folder.refused(&[&fixed[..], &["a <hypernet:x:0.8>"]].concat());
    assert!(error.contains("hypernetwork"), "{error}");
}

#[test]
fn styles_are_put_around_the_prompts() {
    let folder = Folder::new();
    let styles = folder.file("styles.csv");
    fs::write(&styles, "name,prompt,negative_prompt\nhouse,\"a red house, {prompt}\",\nsoft,,blurry\n").unwrap();
    let fixed =
        ["--steps", "1", "--seed", "1", "--width", "32", "--height", "32", "--prompt", "a garden", "--styles", &styles];
    folder.draw("a.png", &[&fixed[..], &["--style", "house", "--style", "soft"]].concat());
    let said = &folder.inspect("a.png")["picture"];
    assert_eq!((&said["prompt"], &said["negative_prompt"]), (&"a red house, a garden".into(), &"blurry".into()));
    let error = folder.refused(&[&fixed[..], &["--style", "none"]].concat());
    assert!(error.contains("there is no style `none`; there are house, soft"), "{error}");
}

#[test]
fn pictures_of_other_programs_are_drawn_again() {
    let folder = Folder::new();
    let json = r#"{"positive_prompt":"a red house","negative_prompt":"","width":32,"height":32,"seed":5,"cfg_scale":3,
                   "steps":1,"scheduler":"euler_a","rand_device":"cpu"}"#;
    let from = folder.png("invoke.png", "invokeai_metadata", json);
    let (pixels, _) = folder.draw("a.png", &["--from", &from]);
    let same = ["--prompt", "a red house", "--steps", "1", "--seed", "5", "--guidance", "3", "--scheduler", "euler-a"];
    let sized = ["--width", "32", "--height", "32", "--noise", "torch-cpu"];
    assert!(pixels == folder.draw("b.png", &[&same[..], &sized].concat()).0);

    let parameters = "a red house\nSteps: 1, Sampler: Euler, CFG scale: 3, Seed: 5, Size: 32x32, ENSD: 31337";
    let from = folder.png("web.png", "parameters", parameters);
    assert!(folder.draw("c.png", &["--from", &from]).1.contains("not followed of the picture: ENSD"));
    let from = folder.png("init.png", "parameters", &format!("{parameters}, Denoising strength: 0.5"));
    assert!(folder.refused(&["--from", &from]).contains("give that with --init-image"));
    let from = folder.png("odd.png", "parameters", &parameters.replace("Euler", "Nobody's"));
    assert!(folder.refused(&["--from", &from]).contains("`Nobody's` is not known here"));
    let from = folder.png("none.png", "Author", "x");
    assert!(folder.refused(&["--from", &from]).contains("carries no parameters"));
    assert!(folder.refused(&["--from", "/nowhere.png"]).contains("could not read /nowhere.png"));
}
