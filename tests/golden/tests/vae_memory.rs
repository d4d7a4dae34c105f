//! What decoding 1024 x 1024 with a full-size autoencoder takes, in a process of its own.

use anyhow::{Context as _, Result, ensure};
use burn::tensor::{Device, Tensor};
use diffusion::{
    nn::BuilderRoot,
    vae::{AutoencoderKl, TilingMode, VaeConfig},
};

/// The most memory that this process had, in MiB.
#[cfg(target_os = "linux")]
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak is told")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024)
}

/// Minutes on a CPU: `cargo test … --test vae_memory -- --ignored --nocapture`.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes minutes"]
fn a_full_size_picture_of_1024_is_decoded_within_two_gibibytes() -> Result<()> {
    let device = Device::flex();
    let config: VaeConfig =
        serde_json::from_str(r#"{"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}"#)?;
    let tiling = TilingMode::Auto.of(&config, [128, 128]).context("such a picture is not tiled")?;
    let root = BuilderRoot::random(0, &device);
    let vae = AutoencoderKl::new(&root.root(""), &config)?;
    let loaded = peak()?;
    // Two tiles beside each other hold what nine do; the rest is the picture, 12 MiB.
    let image = vae.decode_tiled(&Tensor::zeros([1, 4, 64, 128], &device), tiling);
    ensure!(image.dims() == [1, 3, 512, 1024], "{:?}", image.dims());
    let finite: f32 = image.abs().max().into_scalar();
    let most = peak()?;
    println!("{loaded} MiB with the weights, {most} MiB at most");
    ensure!(finite.is_finite() && most < 2048, "{most} MiB at most");
    Ok(())
}
