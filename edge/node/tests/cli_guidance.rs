//! The switches of `darkroom generate`, on the small model of `tests/golden/data`.

#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, to_gguf};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use weights::Dtype;

fn model(folder: &Path) -> PathBuf {
    let model = folder.join("tiny.gguf");
    fs::write(&model, to_gguf(&Data::folder().model("tiny-sd15").unwrap(), Dtype::F16).unwrap()).unwrap();
    model
}

fn generate(model: &Path, out: &Path, size: [&str; 2], more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
    command.args(["generate", "--prompt", "a bowl of soup", "--steps", "2", "--seed", "1", "--guidance", "5"]);
    command.args(["--width", size[0], "--height", size[1], "--model"]).arg(model).arg("--out").arg(out).args(more);
    command.output().unwrap()
}

#[test]
fn every_switch_changes_the_picture_and_all_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (model(folder.path()), folder.path().join("x.png"));
    let made = |size: [&str; 2], more: &[&str]| {
        let output = generate(&model, &out, size, more);
        assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
        image::open(&out).unwrap().into_rgb8().into_raw()
    };
    let small = ["64", "96"];
    let plain = made(small, &[]);
    for flags in [["--freeu", "1.5,1.6,0.9,0.2"], ["--token-merging", "0.5"], ["--sag", "0.75"]] {
        assert_ne!(made(small, &flags), plain, "{flags:?}");
    }
    let [both, across] = [["--tiling"], ["--tiling=x"]].map(|flags| made(small, &flags));
    assert!(both != plain && across != plain && both != across);
    assert_eq!(made(small, &["--panorama"]), plain, "one view is the picture");
    let wide = ["544", "64"];
    let (plain, flat) = (made(wide, &[]), made(wide, &["--panorama"]));
    let round = made(wide, &["--panorama", "--circular"]);
    assert!(plain != flat && flat != round);
    let all = ["--panorama", "--circular", "--sag", "1", "--token-merging", "0.5", "--freeu", "1.5,1.6,0.9,0.2"];
    assert_ne!(made(wide, &all), round);
}

#[test]
fn numbers_that_cannot_be_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (model(folder.path()), folder.path().join("x.png"));
    for (flags, sentence) in [
        (vec!["--freeu", "1.5,1.6"], "four numbers"),
        (vec!["--freeu", "1.5,1.6,-1,0.2"], "a factor of FreeU is -1, but must be between 0 and 10"),
        (vec!["--token-merging", "1.5"], "the share of merged tokens is 1.5, but must be between 0 and 1"),
        (vec!["--sag", "nan"], "the scale of self-attention guidance is NaN"),
        (vec!["--sag", "much"], "`much` is not a number"),
        (vec!["--circular"], "--panorama"),
    ] {
        let output = generate(&model, &out, ["64", "64"], &flags);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {error}");
        assert!(error.contains(sentence) && !error.contains("panicked"), "{error}");
        assert!(!out.exists());
    }
}
