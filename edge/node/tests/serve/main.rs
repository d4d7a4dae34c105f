//! `darkroom serve` as a program, against an edge that hands out what a test wants.

mod checker;
mod process;
mod stub;

use api::{
    node::{Lease, Made, Outcome},
    request::{Censor, Delivery, ImageRequest, ImageSource, Task},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use diffusion::metadata::Metadata;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use process::{Node, SECRET, models};
use serde_json::json;
use spec::{GenerateSpec, ModelId};
use std::{fs, io::Cursor, path::Path, process::Command};
use stub::{Stub, Upload};
use weights::sha256_hex;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const LEASE_MS: u64 = 20_000;

fn spec(steps: u32, seed: u64) -> GenerateSpec {
    let spec = json!({
        "prompt": format!("a red apple on a blue background {SECRET}"),
        "steps": steps,
        "guidance": 4.0,
        "seed": seed,
        "size": [64, 64],
    });
    serde_json::from_value(spec).expect("a spec")
}

fn lease(job: u64, task: Task) -> Lease {
    Lease {
        account: "acc_1".to_owned(),
        job,
        epoch: 1,
        lease_ms: LEASE_MS,
        request: ImageRequest { task, model: None, censor: None, upscale: 1, delivery: Delivery::default() },
        model: ModelId::new("demo").expect("a name"),
        previews: false,
        traceparent: TRACE.to_owned(),
    }
}

fn generate(job: u64, steps: u32, seed: u64) -> Lease {
    lease(job, Task::Generate { spec: spec(steps, seed) })
}

fn edit(job: u64, strength: f32) -> Lease {
    let spec = GenerateSpec { init: Some(init(strength)), ..spec(4, 5) };
    lease(job, Task::Edit { spec, image: upload("image") })
}

fn init(strength: f32) -> spec::InitImageSpec {
    spec::InitImageSpec { strength: spec::Strength::new(strength).expect("a strength") }
}

fn upload(name: &str) -> ImageSource {
    ImageSource::Upload(name.to_owned())
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.into().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("a small picture");
    bytes
}

/// A picture in which no two pixels beside each other are alike.
fn drawn(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| Rgb([(x * 4) as u8, (y * 4) as u8, ((x + y) * 2) as u8]))
}

/// The pictures of a job that was done, checked against what was said of them.
fn pictures(stub: &Stub, job: u64) -> (Vec<Made>, Vec<RgbImage>, u32) {
    let Outcome::Done { pictures, seconds, batch } = stub.outcome(job) else {
        panic!("job {job} ended as {:?}", stub.outcome(job))
    };
    assert!(seconds > 0.0);
    let uploads: Vec<Upload> = stub.book().uploads.get(&job).cloned().unwrap_or_default();
    assert_eq!(uploads.len(), pictures.len());
    let images = uploads.iter().zip(&pictures).enumerate().map(|(index, (upload, made))| {
        assert_eq!((upload.index as usize, &upload.sha256), (index, &made.sha256));
        assert_eq!(sha256_hex(&upload.bytes), made.sha256);
        let image = image::load_from_memory(&upload.bytes).expect("a picture").to_rgb8();
        assert_eq!(image.dimensions(), (made.width, made.height));
        assert!(!made.is_flagged);
        image
    });
    let images = images.collect();
    (pictures, images, batch)
}

/// The same picture by `darkroom generate`.
fn by_hand(folder: &Path, steps: u32, seed: u64, more: &[&str]) -> Vec<u8> {
    let out = folder.join("by-hand.png");
    let made = Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(["generate", "--prompt", &spec(steps, seed).prompt, "--guidance", "4"])
        .args(["--steps", &steps.to_string(), "--seed", &seed.to_string()])
        .arg("--model")
        .arg(models().join("demo/demo-q8_0.gguf"))
        .arg("--out")
        .arg(&out)
        .args(more)
        .output()
        .expect("the program can be started");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::read(out).expect("it was written")
}

/// The command line says of its picture what the node says, and then which files it was made with.
fn same_picture(node: &[u8], by_hand: &[u8]) {
    let pixels = |file: &[u8]| image::load_from_memory(file).expect("a picture").into_rgb8();
    assert!(pixels(node) == pixels(by_hand), "the node paints otherwise");
    let said = |file: &[u8]| {
        Metadata::read(&mut Cursor::new(file)).expect("a whole picture").expect("it says how it was made").raw
    };
    let (node, by_hand) = (said(node), said(by_hand));
    assert!(by_hand.starts_with(&node) && by_hand.contains("Model hash: "), "{node}\n{by_hand}");
}

#[test]
fn a_job_becomes_the_picture_that_the_command_line_makes() {
    let stub = Stub::start();
    let node = Node::start(&stub, 1);
    stub.hand_out([generate(1, 4, 7)]);
    let (made, _, batch) = pictures(&stub, 1);
    assert_eq!((made.len(), made[0].seed, batch), (1, 7, 1));

    let folder = tempfile::tempdir().expect("a folder");
    same_picture(&stub.book().uploads[&1][0].bytes, &by_hand(folder.path(), 4, 7, &[]));

    let book = stub.book();
    let asked = &book.asked[0];
    assert_eq!((asked.version, asked.node.as_str(), asked.device.as_str()), (1, "test", "cpu"));
    assert_eq!((asked.slots, asked.wanted, asked.has_checker), (1, 1, false));
    let offer = &asked.models[0];
    assert_eq!((offer.id.as_str(), offer.side, offer.family.as_str()), ("demo", 64, "demo"));
    assert_eq!(offer.tasks, ["generate", "edit", "inpaint", "upscale", "crop"]);
    assert_eq!(offer.sha256, sha256_hex(&fs::read(models().join("demo/demo-q8_0.gguf")).expect("it is shipped")));
    assert!(book.traces.contains(TRACE));
    assert_eq!(book.strangers, 0);
    drop(book);

    node.wait_for_lines("lease ended", 1);
    let ended = &node.lines("lease ended")[0];
    assert_eq!((&ended["outcome"], &ended["job"], &ended["traceparent"]), (&json!("done"), &json!(1), &json!(TRACE)));
    assert_eq!(node.get("/livez").0, 200);
    assert_eq!(node.wait_for_state("ready"), 200);
    let (status, figures) = node.get("/metrics");
    assert_eq!(status, 200);
    for line in [
        "darkroom_jobs_total{outcome=\"done\"} 1",
        "darkroom_queue_wait_seconds_count 1",
        "darkroom_phase_seconds_count{phase=\"load\"} 1",
        "darkroom_phase_seconds_count{phase=\"text\"} 1",
        "darkroom_phase_seconds_count{phase=\"denoising\"} 1",
        "darkroom_phase_seconds_count{phase=\"decoding\"} 1",
        "darkroom_phase_seconds_count{phase=\"upload\"} 1",
        "darkroom_batch_jobs_count 1",
        "darkroom_models_loaded 1",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is not in\n{figures}");
    }
}

#[test]
fn who_looks_sees_it_develop() {
    let stub = Stub::start();
    let _node = Node::start(&stub, 1);
    stub.hand_out([generate(1, 1000, 7)]);
    stub.wait("two steps", |book| (book.steps(1) > 1).then_some(()));
    let previews = |book: &stub::Book| {
        let reports = book.reports[&1].iter();
        reports.filter_map(|report| report.preview.clone()).collect::<Vec<_>>()
    };
    assert!(previews(&stub.book()).is_empty(), "nobody looked");
    // Its owner begins to look, which the answers to reports say.
    stub.book().previews = true;
    let seen = stub.wait("two previews", |book| Some(previews(book)).filter(|seen| seen.len() > 1));
    for preview in seen {
        let png = BASE64_STANDARD.decode(preview.png).expect("base64");
        let image = image::load_from_memory(&png).expect("a picture");
        assert_eq!((preview.index, image.width(), image.height()), (0, 64, 64));
    }
    let progress = stub.book().reports[&1].iter().filter_map(|report| report.progress).next_back().expect("progress");
    assert_eq!((progress.phase, progress.of), (spec::Phase::Denoising, 1000));
    stub.book().over.insert(1);
}

#[test]
fn jobs_that_are_computed_together_are_what_each_is_alone() {
    let stub = Stub::start();
    let _node = Node::start(&stub, 3);
    let with_two = |job| {
        let two = GenerateSpec { batch: spec::BatchSize::new(2).expect("two"), ..spec(3, 20) };
        lease(job, Task::Generate { spec: GenerateSpec { noise: spec::NoiseKind::TorchCpu, ..two } })
    };
    let other = |job| {
        let other = GenerateSpec { prompt: format!("a cat on a cyan background {SECRET}"), ..spec(3, 30) };
        lease(job, Task::Generate { spec: other })
    };
    stub.hand_out([generate(1, 3, 10), with_two(2), other(3)]);
    let together = [1, 2, 3].map(|job| pictures(&stub, job));
    assert_eq!(together.clone().map(|(_, _, batch)| batch), [3, 3, 3]);
    for (job, lease) in [generate(11, 3, 10), with_two(12), other(13)].into_iter().enumerate() {
        let number = lease.job;
        stub.hand_out([lease]);
        let (made, _, batch) = pictures(&stub, number);
        assert_eq!(batch, 1);
        assert_eq!(made, together[job].0, "job {number}");
    }
    let seeds: Vec<_> = together.iter().flat_map(|(made, _, _)| made.iter().map(|made| made.seed)).collect();
    assert_eq!(seeds, [10, 20, 21, 30]);
    assert!(stub.book().reports.values().flatten().all(|report| report.preview.is_none()), "nobody looked");
}

#[test]
fn a_picture_is_edited_as_on_the_command_line() {
    let stub = Stub::start();
    let _node = Node::start(&stub, 1);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("init.png");
    fs::write(&file, png(drawn(96))).expect("it can be written");
    stub.book().inputs.insert("image".to_owned(), png(drawn(96)));
    stub.hand_out([edit(1, 0.5)]);
    pictures(&stub, 1);
    let by_hand = by_hand(folder.path(), 4, 5, &["--strength", "0.5", "--init-image", &file.display().to_string()]);
    same_picture(&stub.book().uploads[&1][0].bytes, &by_hand);
}

#[test]
fn outside_the_mask_every_pixel_stays() {
    let stub = Stub::start();
    let _node = Node::start(&stub, 1);
    let original = drawn(64);
    // Not along the latents' cells of eight pixels.
    let is_white = |x: u32, y: u32| (21..50).contains(&x) && (11..42).contains(&y);
    let mask = GrayImage::from_fn(64, 64, |x, y| Luma([if is_white(x, y) { 255 } else { 0 }]));
    stub.book().inputs.insert("image".to_owned(), png(original.clone()));
    stub.book().inputs.insert("mask".to_owned(), png(mask));
    for (job, scheduler) in spec::SchedulerKind::ALL.iter().enumerate() {
        let job = job as u64;
        let spec = GenerateSpec { init: Some(init(0.9)), scheduler: Some(*scheduler), ..spec(4, 5) };
        stub.hand_out([lease(job, Task::Inpaint { spec, image: upload("image"), mask: upload("mask") })]);
        let (_, images, _) = pictures(&stub, job);
        let mut changed = 0;
        for (x, y, pixel) in images[0].enumerate_pixels() {
            if is_white(x, y) {
                changed += u32::from(pixel != original.get_pixel(x, y));
            } else {
                assert_eq!(pixel, original.get_pixel(x, y), "{scheduler}: {x}, {y}");
            }
        }
        assert!(changed > 29 * 31 / 2, "{scheduler}: only {changed} pixels were painted");
    }
}

#[test]
fn pictures_are_enlarged() {
    let stub = Stub::start();
    let _node = Node::start(&stub, 1);
    stub.book().inputs.insert("image".to_owned(), png(RgbImage::from_pixel(40, 24, Rgb([10, 200, 30]))));
    stub.hand_out([lease(1, Task::Upscale { image: upload("image"), factor: 4 })]);
    let (made, images, _) = pictures(&stub, 1);
    assert_eq!((made[0].width, made[0].height), (160, 96));
    assert!(images[0].pixels().all(|pixel| *pixel == Rgb([10, 200, 30])));

    let mut larger = generate(2, 2, 1);
    larger.request.upscale = 3;
    stub.hand_out([larger]);
    let (made, ..) = pictures(&stub, 2);
    assert_eq!((made[0].width, made[0].height), (192, 192));
}

#[test]
fn a_picture_becomes_the_square_in_its_middle_and_is_judged_by_nobody() {
    let stub = Stub::start();
    let _node = Node::start(&stub, 1);
    let original = RgbImage::from_fn(41, 24, |x, y| Rgb([(x * 4) as u8, (y * 4) as u8, ((x + y) * 2) as u8]));
    stub.book().inputs.insert("image".to_owned(), png(original.clone()));
    stub.hand_out([lease(1, Task::Crop { image: upload("image") })]);
    let (made, images, batch) = pictures(&stub, 1);
    assert_eq!((made[0].width, made[0].height, made[0].seed, batch), (24, 24, 0, 1));
    for (x, y, pixel) in images[0].enumerate_pixels() {
        assert_eq!(pixel, original.get_pixel(x + 8, y), "{x}, {y}");
    }

    stub.hand_out([lease(2, Task::Check { image: upload("image"), threshold: 0.5 })]);
    let reason = stub.refusal(2);
    assert!(reason.contains("no checker"), "{reason}");
    let mut checked = lease(3, Task::Crop { image: upload("image") });
    checked.request.censor = Some(Censor::Black);
    stub.hand_out([checked]);
    assert!(stub.refusal(3).contains("no checker"));
    assert!(!stub.book().uploads.contains_key(&2) && !stub.book().uploads.contains_key(&3));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_sentence_and_the_node_goes_on() {
    let stub = Stub::start();
    let node = Node::start(&stub, 1);
    let mut whole = png(drawn(64));
    whole.truncate(whole.len() / 2);
    for (job, garbage) in [(1, b"not a picture".to_vec()), (2, whole), (3, Vec::new())] {
        stub.book().inputs.insert("image".to_owned(), garbage);
        stub.hand_out([edit(job, 0.5)]);
        let reason = stub.refusal(job);
        assert!(reason.contains("`image` is not a whole PNG"), "{reason}");
    }
    let mut unknown = generate(4, 2, 1);
    unknown.model = ModelId::new("nobody/knows").expect("a name");
    stub.hand_out([unknown]);
    assert!(stub.refusal(4).contains("no model `nobody/knows`"));

    let mut checked = generate(5, 2, 1);
    checked.request.censor = Some(Censor::Blur);
    stub.hand_out([checked]);
    assert!(stub.refusal(5).contains("checker"));

    stub.book().inputs.insert("image".to_owned(), png(RgbImage::new(2000, 16)));
    stub.hand_out([lease(6, Task::Upscale { image: upload("image"), factor: 3 })]);
    assert!(stub.refusal(6).contains("beyond 4096 x 4096"));

    let size = spec::ImageSize::new(1024, 64).expect("a size");
    stub.hand_out([lease(7, Task::Generate { spec: GenerateSpec { size, ..spec(2, 1) } })]);
    assert!(stub.refusal(7).contains("at most 512"));
    let size = spec::ImageSize::new(72, 64).expect("a size");
    stub.hand_out([lease(8, Task::Generate { spec: GenerateSpec { size, ..spec(2, 1) } })]);
    assert!(stub.refusal(8).contains("multiples of 16"));
    let address = ImageSource::Url("http://127.0.0.1/".to_owned());
    stub.hand_out([lease(9, Task::Upscale { image: address, factor: 2 })]);
    assert!(stub.refusal(9).contains("from the edge alone"));

    stub.hand_out([generate(10, 2, 1)]);
    pictures(&stub, 10);
    node.wait_for_lines("lease ended", 10);
    assert!(node.get("/metrics").1.contains("darkroom_jobs_total{outcome=\"refused\"} 9\n"));
}

#[test]
fn a_model_beyond_the_budget_is_not_offered_and_refused_with_the_reason() {
    let stub = Stub::start();
    let node = Node::start_with(&stub, 1, &["--memory-budget", "1"]);
    stub.hand_out([generate(1, 2, 1)]);
    let reason = stub.refusal(1);
    assert!(reason.contains("this node may take 1"), "{reason}");
    assert!(stub.book().asked[0].models.is_empty());
    node.wait_for_lines("a model is not offered, since it does not fit the memory budget", 1);
}

#[test]
fn a_job_whose_lease_is_over_stops_and_is_forgotten() {
    let stub = Stub::start();
    let node = Node::start(&stub, 1);
    stub.hand_out([generate(1, 1000, 1)]);
    stub.wait("a step", |book| (book.steps(1) > 2).then_some(()));
    stub.book().over.insert(1);
    node.wait_for_lines("lease ended", 1);
    assert_eq!(node.lines("lease ended")[0]["outcome"], "lost");
    // The one slot is free at once, and the device as soon as its step is over.
    stub.hand_out([generate(2, 2, 1)]);
    pictures(&stub, 2);
    assert!(stub.book().outcome(1).is_none() && !stub.book().uploads.contains_key(&1));
}

#[test]
fn an_edge_that_goes_and_comes_back_loses_nothing() {
    let mut stub = Stub::start();
    let node = Node::start(&stub, 1);
    assert_eq!(node.wait_for_state("ready"), 200);
    stub.hand_out([generate(1, 150, 1)]);
    stub.wait("a step", |book| (book.steps(1) > 0).then_some(()));
    stub.stop();
    node.wait_for_lines("a report failed", 1);
    stub.resume();
    pictures(&stub, 1);

    stub.stop();
    assert_eq!(node.wait_for_state("edge_unreachable"), 503);
    stub.resume();
    assert_eq!(node.wait_for_state("ready"), 200);
    stub.hand_out([generate(2, 2, 1)]);
    pictures(&stub, 2);
}

#[test]
fn a_lease_that_nobody_confirms_is_given_up() {
    let mut stub = Stub::start();
    let node = Node::start(&stub, 1);
    let mut short = generate(1, 1000, 1);
    short.lease_ms = 1500;
    stub.hand_out([short]);
    stub.wait("a step", |book| (book.steps(1) > 0).then_some(()));
    stub.stop();
    node.wait_for_lines("lease ended", 1);
    assert_eq!(node.lines("lease ended")[0]["outcome"], "lost");
}

#[test]
fn the_end_finishes_what_is_short_and_hands_back_what_is_not() {
    let stub = Stub::start();
    let mut node = Node::start(&stub, 2);
    // As large as the model goes, so that its steps take minutes.
    let size = spec::ImageSize::new(512, 512).expect("a size");
    let long = lease(1, Task::Generate { spec: GenerateSpec { size, ..spec(1000, 1) } });
    stub.hand_out([long, generate(2, 3, 1)]);
    stub.wait("a step", |book| (book.steps(1) > 0).then_some(()));
    node.terminate();
    assert_eq!(stub.outcome(1), Outcome::HandedBack);
    assert_eq!(stub.outcome(2), Outcome::HandedBack, "it had not begun");
    assert_eq!(node.exit_code(), Some(0));

    let mut node = Node::start(&stub, 1);
    stub.hand_out([generate(3, 20, 1)]);
    stub.wait("a step", |book| (book.steps(3) > 0).then_some(()));
    node.terminate();
    node.wait_for_lines("draining: no new work, and at most half a minute for what is left", 1);
    assert_eq!(node.exit_code(), Some(0));
    pictures(&stub, 3);
}

#[test]
fn an_idle_node_ends_at_once_and_a_second_signal_does_not_wait() {
    let mut stub = Stub::start();
    let mut node = Node::start(&stub, 1);
    node.wait_for_state("ready");
    node.terminate();
    assert_eq!(node.exit_code(), Some(0));
    // The edge heard that nothing is wanted any more.
    assert_eq!(stub.book().asked.last().map(|asked| (asked.wanted, asked.wait_seconds)), Some((0, 0)));

    let mut node = Node::start(&stub, 1);
    let size = spec::ImageSize::new(512, 512).expect("a size");
    let long = lease(1, Task::Generate { spec: GenerateSpec { size, ..spec(1000, 1) } });
    stub.hand_out([Lease { lease_ms: 600_000, ..long }]);
    stub.wait("a step", |book| (book.steps(1) > 0).then_some(()));
    // Nobody takes back what it holds, so it goes on trying.
    stub.stop();
    node.terminate();
    node.wait_for_state("draining");
    node.terminate();
    assert_eq!(node.exit_code(), Some(130));
}

#[test]
fn a_wrong_token_is_told_without_being_told() {
    let stub = Stub::start();
    let wrong = format!("{}x", stub::TOKEN);
    let node = Node::start_with(&stub, 1, &["--token", &wrong]);
    node.wait_for_lines("no work can be asked for", 1);
    assert_eq!(node.lines("no work can be asked for")[0]["why"], "the edge does not accept the node token");
    assert!(stub.book().strangers > 0);
    assert_eq!(node.wait_for_state("edge_unreachable"), 503);
}

#[test]
fn help_shows_the_variables_but_never_the_token() {
    let help = Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(["serve", "--help"])
        .env("DARKROOM_TOKEN", stub::TOKEN)
        .env("DARKROOM_EDGE", "http://127.0.0.1:1")
        .output()
        .expect("the program can be started");
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(text.contains("DARKROOM_TOKEN") && text.contains("DARKROOM_EDGE=http://127.0.0.1:1"), "{text}");
    assert!(!text.contains(stub::TOKEN));
}
