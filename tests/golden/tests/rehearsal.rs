//! Shaders compiled before the weights are here, on a GPU or its software stand-in; without a driver nothing is tested.
//!
//! In a process of its own: a rehearsal holds back the kernels of all threads.

use anyhow::{Context as _, Result};
use burn::tensor::Device;
use diffusion::pipeline::{LoadOptions, Loading, Silent, rehearse};
use golden::Data;

#[test]
fn a_rehearsal_comes_to_its_end_and_leaves_the_device_as_it_was() -> Result<()> {
    let Ok(device) = Device::wgpu_options().init() else { return Ok(()) };
    let files = Data::folder().model("tiny-sd15")?;
    let loading = Loading::new(&files, &device, LoadOptions::default())?;
    let is_whole = pollster::block_on(rehearse(&loading, &mut Silent));
    assert!(is_whole, "the pass ended early");
    let value = burn::tensor::Tensor::<1>::ones([4], &device) * 3.0;
    let values: Vec<f32> = value.into_data().try_to_vec().ok().context("f32")?;
    assert_eq!(values, [3.0; 4]);
    Ok(())
}
