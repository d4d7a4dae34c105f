//! Files that stable-diffusion.cpp wrote, and one laid out as ComfyUI-GGUF does it (`data/make_files.py`).

use anyhow::{Context as _, Result, ensure};
use golden::Data;
use std::path::PathBuf;
use weights::{Dtype, TensorSource, dequantise, quantise, relative_error};

fn open(name: &str) -> Result<Box<dyn TensorSource>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/models/other-programs");
    Ok(weights::open_path(&folder.join(name))?)
}

/// The first rows and columns of a recorded tensor.
fn recorded(name: &str, rows: usize, columns: usize) -> Result<Vec<f32>> {
    let unet = Data::folder().model("tiny-sd15")?.unet;
    let raw = unet.source.read(name)?;
    let row: usize = raw.shape[1..].iter().product();
    Ok(raw.to_f32().chunks(row).take(rows).flat_map(|row| &row[..columns]).copied().collect())
}

#[test]
fn every_kind_that_stable_diffusion_cpp_writes_is_read_and_packed_at_least_as_well() -> Result<()> {
    let file = open("stable-diffusion-cpp.gguf")?;
    let original = recorded("mid_block.attentions.0.transformer_blocks.0.ff.net.2.weight", 8, 256)?;
    let conv = recorded("mid_block.resnets.0.conv1.weight", 8, 32 * 9)?;
    let read = file.read("model.diffusion_model.middle_block.0.in_layers.2.weight")?;
    assert_eq!((read.dtype, &read.shape[..]), (Dtype::F16, &[8, 32, 3, 3][..]));
    assert_eq!(read.to_f32(), conv);
    let kinds = [
        (Dtype::F32, 0.0),
        (Dtype::F16, 0.0),
        (Dtype::Q8_0, 0.006),
        (Dtype::Q5_0, 0.05),
        (Dtype::Q5_1, 0.04),
        (Dtype::Q4_0, 0.1),
        (Dtype::Q4_1, 0.08),
        (Dtype::Q4K, 0.085),
        (Dtype::Q5K, 0.045),
        (Dtype::Q6K, 0.03),
    ];
    for (index, (dtype, bound)) in kinds.into_iter().enumerate() {
        let name = format!("model.diffusion_model.middle_block.1.transformer_blocks.{index}.ff.net.2.weight");
        let read = file.read(&name)?;
        assert_eq!((read.dtype, &read.shape[..]), (dtype, &[8, 256][..]));
        let theirs = relative_error(&original, &read.to_f32());
        let ours = relative_error(&original, &dequantise(dtype, &quantise(&original, dtype)?));
        println!("{dtype}: {theirs:.5} as stable-diffusion.cpp packs it, {ours:.5} as it is packed here");
        ensure!(theirs <= bound && ours <= theirs, "{dtype}: {theirs} and {ours}");
    }
    Ok(())
}

#[test]
fn blocks_that_run_over_rows_as_comfyui_has_them_are_read() -> Result<()> {
    let file = open("comfyui.gguf")?;
    assert_eq!(file.metadata("general.architecture"), Some("sd1"));
    let original = recorded("mid_block.resnets.0.conv1.weight", 8, 32 * 9)?;
    let kinds = [Dtype::F16, Dtype::Q8_0, Dtype::Q5_0, Dtype::Q4_0, Dtype::Q4_1, Dtype::Q4K, Dtype::Q6K];
    for (index, dtype) in kinds.into_iter().enumerate() {
        let name = format!("middle_block.{index}.in_layers.2.weight");
        let info = file.info(&name).with_context(|| format!("no {name}"))?;
        assert_eq!((info.dtype, &info.shape[..]), (dtype, &[8, 32, 3, 3][..]));
        let error = relative_error(&original, &file.read(&name)?.to_f32());
        ensure!(error < 0.12, "{dtype}: {error}");
    }
    Ok(())
}
