//! Every recorded case on one device: the CPU, or the one that `DARKROOM_TEST_DEVICE` names (`cpu`, `wgpu`).

mod adapting;
mod loading;
mod other_programs;
mod single_file;
mod skip_split;
mod switches;
mod upscaling;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use golden::{Data, Kind, run, verdict};
use std::sync::OnceLock;

/// The device under test; a graphics device is opened once in a process.
fn device() -> Result<Device> {
    static DEVICE: OnceLock<Result<Device, String>> = OnceLock::new();
    let opened = DEVICE.get_or_init(|| match std::env::var("DARKROOM_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Ok(Device::flex()),
        Ok("wgpu") => Device::wgpu_options().init().map_err(|error| format!("{error:?}")),
        Ok(other) => Err(format!("DARKROOM_TEST_DEVICE is `{other}`; it must be cpu or wgpu")),
    });
    opened.clone().map_err(anyhow::Error::msg)
}

/// Runs the cases of a kind; all of them, before the first that is off is reported.
fn check(wanted: impl Fn(&Kind) -> bool) -> Result<()> {
    let (data, device) = (Data::folder(), device()?);
    let cases = data.manifest()?.cases;
    let failures: Vec<String> = cases
        .iter()
        .filter(|case| wanted(&case.kind))
        .filter_map(|case| {
            let compared = pollster::block_on(run(case, &data, &device));
            compared.and_then(|compared| verdict(&case.name, &compared)).err()
        })
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    ensure!(cases.iter().any(|case| wanted(&case.kind)), "there is no such case");
    Ok(())
}

#[test]
fn text_encoders_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Text { .. }))
}

#[test]
fn switches_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Switched { .. }))
}

#[test]
fn safety_checkers_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Safety { .. } | Kind::ClipInput { .. }))
}

#[test]
fn weighted_and_long_prompts_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Prompts { .. }))
}

#[test]
fn denoisers_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Unet { .. }))
}

#[test]
fn autoencoders_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Vae { .. } | Kind::VaeTiled { .. } | Kind::Taesd { .. }))
}

#[test]
fn schedulers_equal_the_reference_step_by_step() -> Result<()> {
    check(|kind| matches!(kind, Kind::Scheduler { .. }))
}

#[test]
fn brownian_paths_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Brownian))
}

#[test]
fn pictures_from_noise_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Text2img { .. }))
}

#[test]
fn learned_words_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Embedding { .. }))
}

#[test]
fn pictures_from_pictures_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Img2img { .. }))
}

#[test]
fn pictures_that_networks_steer_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Controlnet { .. }))
}

#[test]
fn repainted_pictures_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Inpaint { .. }))
}

#[test]
fn enlarged_pictures_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Upscale { .. }))
}

#[test]
fn prepared_and_resized_pictures_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Pictures | Kind::LineArt { .. } | Kind::Depth { .. }))
}

#[test]
fn pictures_of_two_passes_equal_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Hires { .. }))
}

#[test]
fn torch_noise_equals_the_reference() -> Result<()> {
    check(|kind| matches!(kind, Kind::Noise))
}

/// What `torch.randn(3, 4)` gives on CUDA for the seed 0.
#[test]
fn philox_noise_equals_the_reference() {
    #[expect(clippy::excessive_precision, reason = "the digits that the reference prints")]
    const CUDA: [f32; 12] = [
        -0.924_662_6,
        -0.425_344_15,
        -2.643_845_7,
        0.145_183_88,
        -0.120_866_47,
        -0.579_725_64,
        -0.622_851_2,
        -0.328_387_1,
        -1.074_542_3,
        -0.363_144_07,
        -1.671_050_7,
        2.265_505,
    ];
    let computed = diffusion::noise::Philox::new(0).normal(CUDA.len());
    let compared = golden::Comparison::of("philox", &computed, &CUDA, 1e-6);
    println!("{compared}");
    assert!(compared.holds(), "{compared}");
}
