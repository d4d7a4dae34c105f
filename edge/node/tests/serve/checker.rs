//! A node with a safety checker: the recorded one, with thresholds that let everything or nothing through.

use crate::{
    generate, lease, png,
    process::{Node, SECRET, models},
    stub::{Stub, TOKEN, Upload},
    upload,
};
use api::{
    node::{Made, Outcome},
    request::{Censor, Task},
};
use golden::{Data, read_all, to_safetensors};
use image::{Rgb, RgbImage};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;
use weights::{Dtype, RawTensor};

/// A checker's folder in which every threshold is this.
fn checker(threshold: f32) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Data::folder();
    let config = data.text("models/tiny-safety-checker/config.json").expect("it is recorded");
    let recorded = data.component("models/tiny-safety-checker/model.safetensors").expect("it is recorded");
    let mut tensors = read_all(&*recorded.source).expect("it is whole");
    for (name, count) in [("concept_embeds_weights", 17), ("special_care_embeds_weights", 3)] {
        let bytes = threshold.to_le_bytes().repeat(count);
        tensors.insert(name.to_owned(), RawTensor { dtype: Dtype::F32, shape: vec![count], bytes });
    }
    fs::write(folder.path().join("config.json"), config).expect("it can be written");
    let weights = to_safetensors(&tensors).expect("a file");
    fs::write(folder.path().join("model.safetensors"), weights).expect("it can be written");
    folder
}

fn start(stub: &Stub, checker: &Path) -> Node {
    Node::start_with(stub, 1, &["--safety-checker", &checker.display().to_string()])
}

fn only(stub: &Stub, job: u64) -> (Made, Upload) {
    let Outcome::Done { pictures, .. } = stub.outcome(job) else { panic!("job {job}: {:?}", stub.outcome(job)) };
    (pictures[0].clone(), stub.book().uploads[&job][0].clone())
}

#[test]
fn a_node_that_judges_says_so_and_shows_what_its_checker_clears() {
    for (threshold, is_flagged) in [(2.0, false), (-2.0, true), (f32::NAN, true)] {
        let (stub, folder) = (Stub::start(), checker(threshold));
        let _node = start(&stub, folder.path());
        stub.book().inputs.insert("image".to_owned(), png(RgbImage::from_pixel(40, 24, Rgb([10, 200, 30]))));
        stub.hand_out([lease(1, Task::Check { image: upload("image"), threshold: 0.5 })]);
        let (made, file) = only(&stub, 1);
        assert_eq!(made.is_flagged, is_flagged, "{threshold}");
        // To be judged is not to be censored.
        let image = image::load_from_memory(&file.bytes).expect("a picture").to_rgb8();
        assert!(image.pixels().all(|pixel| *pixel == Rgb([10, 200, 30])));

        let mut guarded = generate(2, 2, 1);
        guarded.request.censor = Some(Censor::Black);
        stub.hand_out([guarded]);
        let (made, file) = only(&stub, 2);
        assert_eq!(made.is_flagged, is_flagged, "{threshold}");
        let image = image::load_from_memory(&file.bytes).expect("a picture").to_rgb8();
        assert_eq!(image.pixels().all(|pixel| *pixel == Rgb([0; 3])), is_flagged, "{threshold}");
        let mentions = file.bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert_eq!(mentions, !is_flagged, "{threshold}: what was flagged says nothing of its making");

        let book = stub.book();
        assert!(book.asked[0].has_checker);
        assert!(book.asked[0].models[0].tasks.iter().any(|task| task == "check"));
    }
}

#[test]
fn a_node_whose_checker_is_missing_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(["serve", "--edge", "http://127.0.0.1:1", "--token", TOKEN, "--device", "cpu", "--safety-checker"])
        .arg(folder.path())
        .arg("--models")
        .arg(models())
        .output()
        .expect("the program can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("could not load the safety checker"), "{error}");
}
