//! Every recorded case by the kernels that a browser's CPU computes with, as native code: plain arrays stand for its vectors.
//!
//! In a process of its own: these kernels are for all of it.

use anyhow::{Result, ensure};
use burn::tensor::Device;
use golden::{Data, run, verdict};

#[test]
fn the_kernels_of_a_browsers_cpu_equal_the_reference() -> Result<()> {
    kernels::cpu::use_everywhere();
    let (data, device) = (Data::folder(), Device::flex());
    ensure!(kernels::runs_on(&device), "the framework would compute");
    let mut failures = Vec::new();
    for case in data.manifest()?.cases {
        let compared = pollster::block_on(run(&case, &data, &device))?;
        failures.extend(verdict(&case.name, &compared).err().map(|error| format!("{error:#}")));
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
