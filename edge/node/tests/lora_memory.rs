//! What a LoRA over a quantised model costs the program: the most memory that it ever has, with and without.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "where a helper cannot go on, its test has failed")]

use golden::{Data, write_wide, write_wide_lora};
use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

/// More than its largest tensor in single precision and the LoRA itself; the model in single precision takes 300 MB.
const MORE: u64 = 64 << 20;

/// Draws one step, and says the program's peak in bytes.
fn peak(model: &Path, more: &[&str]) -> u64 {
    let out = model.with_file_name("x.png");
    let mut child = Command::new(env!("CARGO_BIN_EXE_darkroom"))
        .args(["generate", "--device", "cpu", "--prompt", "x", "--width", "64", "--height", "64", "--steps", "1"])
        .arg("--model")
        .arg(model)
        .arg("--out")
        .arg(&out)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        // It only grows, so that the last reading is the peak but for the last moments, in which files are closed.
        let said = fs::read_to_string(&status).unwrap_or_default();
        let kilobytes = said.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"));
        most = most.max(kilobytes.map_or(0, |kilobytes| kilobytes.trim().parse().unwrap()));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        sleep(Duration::from_millis(2));
    };
    assert!(ended.success());
    most * 1024
}

#[test]
fn a_lora_over_quantised_weights_costs_no_model_in_single_precision() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("wide.gguf");
    write_wide(&Data::folder(), BufWriter::new(File::create(&model).unwrap())).unwrap();
    let lora = folder.path().join("wide.safetensors");
    fs::write(&lora, write_wide_lora(&Data::folder()).unwrap()).unwrap();
    let without = peak(&model, &[]);
    let with = peak(&model, &["--lora", lora.to_str().unwrap()]);
    println!("{} MB without, {} MB with it", without >> 20, with >> 20);
    assert!(with <= without + MORE, "{} MB without, {} MB with it", without >> 20, with >> 20);
}
