//! A few cases through a graphics driver, with the shaders that a browser runs too.
//!
//! In a binary of its own, since a process opens a graphics device once. Without a driver nothing is computed and the reason
//! is printed; any Vulkan driver will do, for example Chromium's in software:
//!
//! ```text
//! VK_DRIVER_FILES=/usr/lib/chromium/vk_swiftshader_icd.json cargo test -p node -p golden --test wgpu -- --nocapture
//! ```
//!
//! `DARKROOM_TEST_DEVICE=wgpu` runs all cases of `reference` that way, and fails where there is no driver.

use anyhow::{Context as _, Result, ensure};
use burn::tensor::Device;
use golden::{Data, run, verdict};

/// One of every kind that computes on the device, the cheap ones: a driver in software takes its time.
const CASES: [&str; 13] = [
    "sd15-text",
    "sd15-unet",
    "sd21-unet",
    "vae",
    "taesd",
    "euler-a",
    "dpmpp-2m-karras",
    "sd15-text2img-noguidance",
    "vae-tiled",
    "sd15-controlnet",
    "upscalers",
    "line-art",
    "depth",
];

#[test]
fn a_graphics_device_equals_the_reference() -> Result<()> {
    let device = match Device::wgpu_options().init() {
        Ok(device) => device,
        Err(error) => {
            println!("skipped: no graphics device could be opened ({error:?})");
            return Ok(());
        }
    };
    let data = Data::folder();
    let cases = data.manifest()?.cases;
    let mut failures = Vec::new();
    for name in CASES {
        let case = cases.iter().find(|case| case.name == name).with_context(|| format!("no case {name}"))?;
        let compared = pollster::block_on(run(case, &data, &device))?;
        failures.extend(verdict(name, &compared).err().map(|error| format!("{error:#}")));
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
