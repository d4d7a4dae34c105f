//! The kernels beside burn's own on the same device, in turns: milliseconds, GFLOP/s and the ratio.
//!
//! A software adapter is good for nothing here but to see that both run; its times rank no kernel for a GPU.

use burn::tensor::{Device, Distribution, Tensor, module::conv2d, ops::ConvOptions};
use kernels::conv3x3::{Conv3x3, conv3x3, packed_bias, packed_weight};
use std::{error::Error, time::Instant};

/// Rounds of both sides.
const ROUNDS: usize = 7;
/// Batch, channels in and out, side: the demo model's, a small decoder's, and parts of SD's.
const SHAPES: [(usize, usize, usize, usize); 6] =
    [(1, 96, 96, 8), (2, 160, 160, 8), (1, 64, 64, 64), (1, 320, 320, 16), (2, 640, 640, 8), (1, 128, 128, 32)];

fn main() -> Result<(), Box<dyn Error>> {
    let as_json = std::env::args().any(|argument| argument == "--json");
    let device = Device::wgpu_options().init()?;
    for shape in SHAPES {
        let (ours, burns) = measure(shape, &device)?;
        let (batch, input, output, side) = shape;
        let gflop = (2 * 9 * batch * input * output * side * side) as f64 / 1e9;
        let ratio = burns / ours;
        if as_json {
            println!(
                "{{\"kernel\":\"conv3x3\",\"shape\":[{batch},{input},{output},{side}],\"ours_ms\":{:.3},\"burn_ms\":{:.3},\"ratio\":{ratio:.3}}}",
                ours * 1e3,
                burns * 1e3
            );
        } else {
            println!(
                "conv3x3 {batch} x {input:>3} -> {output:>3}, {side:>2} x {side:<2}  ours {:8.2} ms {:7.2} GFLOP/s   burn {:8.2} ms {:7.2} GFLOP/s   ratio {ratio:.2}",
                ours * 1e3,
                gflop / ours,
                burns * 1e3,
                gflop / burns
            );
        }
    }
    Ok(())
}

/// Seconds of both, the median of the rounds.
fn measure(shape: (usize, usize, usize, usize), device: &Device) -> Result<(f64, f64), Box<dyn Error>> {
    let (batch, input, output, side) = shape;
    let usual = Distribution::Default;
    let x = Tensor::<4>::random([batch, input, side, side], usual, device);
    let weight = Tensor::<4>::random([output, input, 3, 3], usual, device);
    let bias = Tensor::<1>::random([output], usual, device);
    let (packed, packed_b) = (packed_weight(weight.clone()), packed_bias(bias.clone()));
    let ours = || conv3x3(x.clone(), packed.clone(), packed_b.clone(), None, output, Conv3x3::default());
    let burns = || conv2d(x.clone(), weight.clone(), Some(bias.clone()), ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let taken = (seconds(ours)?, seconds(burns)?);
        // The first round compiles.
        if round > 0 {
            times.0.push(taken.0);
            times.1.push(taken.1);
        }
    }
    Ok((median(times.0), median(times.1)))
}

/// Until a number of the result is read, which waits for all of it.
fn seconds(compute: impl Fn() -> Tensor<4>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    // Bytes are fetched when they are looked at, and no sooner.
    let read: Vec<f32> = compute().slice([0..1, 0..1, 0..1, 0..1]).try_into_data()?.try_to_vec()?;
    std::hint::black_box(read);
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
