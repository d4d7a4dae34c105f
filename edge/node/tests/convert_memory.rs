//! What `darkroom convert` takes of memory, in a process of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, read_all};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::BufWriter,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use weights::{Dtype, NewTensor, SafetensorsWriter, TensorSource as _};

/// Rows of a token embedding 1024 wide: 256 MB in single precision.
const ROWS: usize = 64_000;
const WIDTH: usize = 1024;

/// The tiny model with a text encoder whose table is far larger than all else.
fn model(folder: &Path) {
    let files = Data::folder().model("tiny-sd15").unwrap();
    let (vae_config, vae) = files.vae.as_ref().unwrap();
    let mut text: Value = serde_json::from_str(&files.text_config).unwrap();
    (text["vocab_size"], text["hidden_size"]) = (json!(ROWS), json!(WIDTH));
    for (file, text) in [
        ("unet/config.json", &files.unet_config),
        ("vae/config.json", vae_config),
        ("text_encoder/config.json", &text.to_string()),
        ("scheduler/scheduler_config.json", &files.scheduler_config),
        ("tokenizer/vocab.json", &files.vocab),
        ("tokenizer/merges.txt", &files.merges),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (file, part) in [("unet/diffusion_pytorch_model", &files.unet), ("vae/diffusion_pytorch_model", vae)] {
        let bytes = golden::to_safetensors(&read_all(&*part.source).unwrap()).unwrap();
        fs::write(folder.join(format!("{file}.safetensors")), bytes).unwrap();
    }
    let name = "text_model.embeddings.token_embedding.weight".to_owned();
    let table = NewTensor { name, dtype: Dtype::F32, shape: vec![ROWS, WIDTH] };
    let out = BufWriter::new(File::create(folder.join("text_encoder/model.safetensors")).unwrap());
    let mut writer = SafetensorsWriter::new(out, &[table], &BTreeMap::new()).unwrap();
    for row in 0..ROWS {
        let values = (0..WIDTH).flat_map(|column| (((row * 31 + column * 7) % 997) as f32 - 498.0).to_le_bytes());
        writer.push_part(&values.collect::<Vec<u8>>()).unwrap();
    }
    writer.finish().unwrap();
}

/// The most memory that the program had, in bytes; the system tells it for as long as the process is there.
fn peak(arguments: &[&str]) -> u64 {
    let program = Command::new(env!("CARGO_BIN_EXE_darkroom")).args(arguments).stdout(Stdio::null()).spawn();
    let mut program = program.unwrap();
    let mut most = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            most = line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024;
        }
        match program.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success());
                return most;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

#[test]
fn converting_takes_no_more_than_the_largest_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("model");
    model(&source);
    let largest = (ROWS * WIDTH * 4) as u64;
    let source = source.display().to_string();
    let out = |name: &str| folder.path().join(name).display().to_string();
    let q4 = out("q4_0.gguf");
    for (model, to, kind, name) in [
        (&source, "gguf", "q4_0", "q4_0.gguf"),
        (&source, "checkpoint", "f16", "f16.safetensors"),
        (&source, "folder", "f32", "folder"),
        (&q4, "gguf", "f32", "f32.gguf"),
    ] {
        let most = peak(&["convert", "--model", model, "--to", to, "--type", kind, "--out", &out(name)]);
        println!(
            "{to} {kind}: {} MB at most, {:.2} of the largest tensor",
            most / 1_000_000,
            most as f64 / largest as f64
        );
        // Everything, the program itself among it; 1.5 times and the output buffer is what may be.
        assert!(most < largest / 2, "{to} {kind}: {most} bytes");
    }
    let table = weights::open_path(Path::new(&q4)).unwrap();
    assert_eq!(table.info("text_encoder.text_model.embeddings.token_embedding.weight").unwrap().dtype, Dtype::Q4_0);
}
