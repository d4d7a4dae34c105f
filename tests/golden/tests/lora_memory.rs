//! What reading a quantised model with a LoRA over it takes, in a process of its own.

#![cfg(target_os = "linux")]

use anyhow::{Context as _, Result, ensure};
use diffusion::{
    adapters::{Adapters, Lora, WeightedLora},
    pipeline::ModelFiles,
};
use golden::{Data, WIDE_BYTES, write_wide, write_wide_lora};
use std::{fs::File, io::BufWriter, rc::Rc};
use weights::{SafetensorsFile, TensorSource};

/// The most memory that this process had, in bytes.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak is told")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// A sum over every tensor, read one after the other as loading reads them.
fn read_through(source: &dyn TensorSource) -> Result<u64> {
    let mut sum = 0_u64;
    for info in source.tensors() {
        for word in source.read(&info.name)?.bytes.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            sum = (sum ^ u64::from_le_bytes(bytes)).wrapping_mul(0x0100_0000_01B3).rotate_left(5);
        }
    }
    Ok(sum)
}

#[test]
fn a_lora_is_merged_tensor_by_tensor_and_taken_off_to_the_same_bytes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("wide.gguf");
    write_wide(&Data::folder(), BufWriter::new(File::create(&path)?))?;
    let files = ModelFiles::open(&path)?;
    let unet = &*files.unet.source;
    let of_unet = || unet.tensors().iter().filter(|info| info.name.starts_with("unet."));
    let bytes: u64 = of_unet().map(|info| info.bytes).sum();
    let largest = unet.tensors().iter().map(|info| info.elements() * 4).max().unwrap_or_default();
    let whole: u64 = of_unet().map(|info| info.elements() * 4).sum();
    ensure!(bytes >= WIDE_BYTES, "{bytes}");

    let before = read_through(unet)?;
    let lora = Rc::new(Lora::new("wide", Rc::new(SafetensorsFile::open(write_wide_lora(&Data::folder())?)?))?);
    let adapters = Adapters { loras: vec![WeightedLora::new(lora, 0.8)], ..Adapters::default() };
    let without = peak()?;
    let merged = adapters.over(&files)?;
    let changed = read_through(&*merged.unet.source)?;
    let with = peak()?;
    println!(
        "{} MB of weights, {} MB in single precision, the largest {} MB: {} MB with the LoRA, {} MB without",
        bytes >> 20,
        whole >> 20,
        largest >> 20,
        with >> 20,
        without >> 20
    );
    ensure!(changed != before, "nothing was added");
    let kinds = of_unet().zip(merged.unet.source.tensors().iter().filter(|info| info.name.starts_with("unet.")));
    for (own, merged) in kinds {
        ensure!(own.dtype == merged.dtype || own.dtype == weights::Dtype::F16, "{merged:?}");
    }
    // One tensor in single precision, its blocks before and after, and what the allocator keeps.
    ensure!(with - without <= 2 * largest + (8 << 20), "{} MB more", (with - without) >> 20);
    drop(merged);
    ensure!(read_through(unet)? == before, "the base is what it was");
    Ok(())
}
