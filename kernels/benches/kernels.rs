//! The kernels beside what burn offers, on the same device, in turns: milliseconds and the ratio.
//!
//! A software adapter is good for nothing here but to see that both run; its times rank no kernel for a GPU.

use burn::tensor::{
    Device, Distribution, Tensor,
    activation::{silu, softmax},
    module::conv2d,
    ops::ConvOptions,
};
use kernels::{
    attention,
    conv3x3::{Conv3x3, conv3x3, padded_bias},
    matmul::{Matmul, matmul},
    norm,
    packed::{Format, PackedWeight, RowOrder},
};
use std::{error::Error, hint::black_box, time::Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds of both sides.
const ROUNDS: usize = 7;
/// Batch, channels in and out, side: the demo model's, a small decoder's, and parts of SD's.
const CONVOLUTIONS: [(usize, usize, usize, usize); 6] =
    [(2, 96, 96, 8), (2, 160, 160, 8), (1, 64, 64, 64), (1, 320, 320, 16), (2, 640, 640, 8), (1, 128, 128, 32)];
/// Batch, queries, keys, heads, values of a head.
const ATTENTIONS: [(usize, usize, usize, usize, usize); 5] =
    [(2, 64, 64, 4, 24), (2, 256, 256, 8, 40), (1, 1024, 1024, 8, 40), (2, 256, 77, 8, 80), (2, 64, 64, 8, 160)];
/// Rows, inputs, outputs: parts of SD's.
const PRODUCTS: [(usize, usize, usize); 4] = [(256, 320, 320), (64, 1280, 1280), (77, 1024, 4096), (2, 1280, 1280)];
/// Formats by the names of GGUF.
const FORMATS: [(&str, Format); 4] =
    [("f32", Format::F32), ("f16", Format::F16), ("q8_0", Format::Q8), ("q4_0", Format::Q4)];
/// Batch, channels, side, groups.
const NORMS: [(usize, usize, usize, usize); 3] = [(2, 96, 8, 32), (2, 320, 32, 32), (1, 128, 64, 32)];

fn main() -> Outcome<()> {
    let bench = Bench {
        as_json: std::env::args().any(|argument| argument == "--json"),
        device: Device::wgpu_options().init()?,
    };
    for shape in CONVOLUTIONS {
        bench.convolutions(shape)?;
    }
    for shape in PRODUCTS {
        bench.products(shape)?;
    }
    for shape in ATTENTIONS {
        bench.attention(shape)?;
    }
    for shape in NORMS {
        bench.norm(shape)?;
    }
    Ok(())
}

struct Bench {
    as_json: bool,
    device: Device,
}

impl Bench {
    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &self.device)
    }

    fn packed(&self, format: Format, shape: [usize; 2]) -> PackedWeight {
        let [rows, columns] = shape;
        // Small numbers in every format.
        let bytes: Vec<u8> =
            (0..rows * format.row_bytes(columns)).map(|at| if at % 2 == 1 { 0x20 } else { (at * 7) as u8 }).collect();
        PackedWeight::new(&bytes, format, shape, RowOrder::Straight, &self.device)
    }

    fn convolutions(&self, (batch, input, output, side): (usize, usize, usize, usize)) -> Outcome<()> {
        let x = self.random([batch, input, side, side]);
        let (weight, bias) = (self.random([output, input, 3, 3]), self.random([output]));
        let padded = padded_bias(bias.clone().unsqueeze());
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        for (name, format) in FORMATS {
            let packed = self.packed(format, [output, input * 9]);
            let times = measure(
                || conv3x3(x.clone(), &packed, padded.clone(), None, Conv3x3::default()),
                || conv2d(x.clone(), weight.clone(), Some(bias.clone()), options()),
            )?;
            let name = format!("{name}, {batch} x {input} -> {output}, {side} x {side}");
            self.print("conv3x3", &name, times, 2 * 9 * batch * input * output * side * side);
        }
        Ok(())
    }

    fn products(&self, (rows, input, output): (usize, usize, usize)) -> Outcome<()> {
        let x = self.random([1, rows, input]);
        let (weight, bias) = (self.random([1, output, input]), self.random([output]));
        for (name, format) in FORMATS {
            let packed = self.packed(format, [output, input]);
            let times = measure(
                || matmul(x.clone(), &packed, bias.clone(), None, Matmul::ROWS),
                || x.clone().matmul(weight.clone().swap_dims(1, 2)) + bias.clone().unsqueeze(),
            )?;
            let name = format!("{name}, {rows} x {input} -> {output}");
            self.print("matmul", &name, times, 2 * rows * input * output);
        }
        Ok(())
    }

    fn attention(&self, shape: (usize, usize, usize, usize, usize)) -> Outcome<()> {
        let (batch, queries, keys, heads, depth) = shape;
        let width = heads * depth;
        let q = self.random([batch, queries, width]);
        let (k, v) = (self.random([batch, keys, width]), self.random([batch, keys, width]));
        let split = |tensor: &Tensor<3>, tokens| tensor.clone().reshape([batch, tokens, heads, depth]).swap_dims(1, 2);
        let plain = || {
            let scores = (split(&q, queries) / (depth as f64).sqrt()).matmul(split(&k, keys).swap_dims(2, 3));
            let output = softmax(scores, 3).matmul(split(&v, keys));
            output.swap_dims(1, 2).reshape([batch, queries, width])
        };
        let times = measure(|| attention::attend(q.clone(), k.clone(), v.clone(), heads, None), plain)?;
        let name = format!("{batch} x {queries} to {keys}, {heads} heads of {depth}");
        self.print("attention", &name, times, 4 * batch * queries * keys * width);
        Ok(())
    }

    fn norm(&self, (batch, channels, side, groups): (usize, usize, usize, usize)) -> Outcome<()> {
        let x = self.random([batch, channels, side, side]);
        let (weight, bias) = (self.random([channels]), self.random([channels]));
        let plain = || {
            let rows = x.clone().reshape([batch, groups, channels / groups * side * side]);
            let centred = rows.clone() - rows.mean_dim(2);
            let scale = (centred.clone().square().mean_dim(2) + 1e-5).sqrt().recip();
            let normed = (centred * scale).reshape([batch, channels, side * side]);
            let scaled = normed * weight.clone().reshape([1, channels, 1]) + bias.clone().reshape([1, channels, 1]);
            silu(scaled.reshape([batch, channels, side, side]))
        };
        let ours = || norm::group_norm(x.clone(), weight.clone(), bias.clone(), groups, 1e-5, true);
        let times = measure(ours, plain)?;
        self.print(
            "norm",
            &format!("{batch} x {channels}, {side} x {side}"),
            times,
            8 * batch * channels * side * side,
        );
        Ok(())
    }

    fn print(&self, kernel: &str, shape: &str, (ours, burns): (f64, f64), operations: usize) {
        let (ratio, speed) = (burns / ours, operations as f64 / ours / 1e9);
        let (ours, burns) = (ours * 1e3, burns * 1e3);
        if self.as_json {
            println!(
                "{{\"kernel\":\"{kernel}\",\"shape\":\"{shape}\",\"ours_ms\":{ours:.3},\"burn_ms\":{burns:.3},\"ratio\":{ratio:.3}}}"
            );
        } else {
            println!(
                "{kernel:<10}{shape:<34} ours {ours:8.2} ms {speed:7.2} GFLOP/s  burn {burns:8.2} ms  ratio {ratio:.2}"
            );
        }
    }
}

/// Seconds of both sides, the median of the rounds.
fn measure<const D: usize>(ours: impl Fn() -> Tensor<D>, burns: impl Fn() -> Tensor<D>) -> Outcome<(f64, f64)> {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let taken = (seconds(&ours)?, seconds(&burns)?);
        // The first round compiles.
        if round > 0 {
            times.0.push(taken.0);
            times.1.push(taken.1);
        }
    }
    Ok((median(times.0), median(times.1)))
}

/// Until a number of the result is read, which waits for all of it.
fn seconds<const D: usize>(compute: impl Fn() -> Tensor<D>) -> Outcome<f64> {
    let start = Instant::now();
    // Bytes are fetched when they are looked at, and no sooner.
    let read: Vec<f32> = compute().slice([const { 0..1 }; D]).try_into_data()?.try_to_vec()?;
    black_box(read);
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
