//! Our kernels and what burn offers instead, timed one question at a time: `tests/bench/kernels.mjs` asks in turns.

mod networks;

use burn::tensor::{
    Device, Distribution, Tensor,
    activation::{silu, softmax},
    module::conv2d,
    ops::ConvOptions,
    quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype},
};
use diffusion::config::ConfigError;
use golden::values;
use kernels::{
    attention,
    conv3x3::{Conv3x3, conv3x3, padded_bias},
    matmul::{Matmul, matmul},
    norm,
    packed::{BLOCK, Format, PackedWeight, RowOrder},
};
use networks::{Origin, Pass};
use serde::Deserialize;
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use web_time::Instant;
use weights::Dtype;

thread_local! {
    /// What was set up stays, so that a question is launches and nothing else.
    static CASES: RefCell<HashMap<Case, Rc<Launch>>> = RefCell::default();
}

/// Computes so many times, one after another, and gives one number of the last output.
type Launch = Box<dyn Fn(usize) -> Tensor<1>>;

/// What is asked.
#[derive(Deserialize)]
pub struct Question {
    #[serde(flatten)]
    case: Case,
    runs: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
struct Case {
    kernel: Kernel,
    shape: Vec<usize>,
    format: Numbers,
    side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kernel {
    /// Batch, channels in and out, side of the picture.
    Conv3x3,
    /// Rows, inputs, outputs.
    Matmul,
    /// Batch, queries, keys, heads, values of a head.
    Attention,
    /// Batch, channels, side of the picture, groups.
    Norm,
    /// Batch, side of the latents.
    Taesd,
    /// Batch, side of the latents.
    Vae,
    /// Batch, side of the latents.
    Unet,
}

/// Formats by the names of GGUF.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Numbers {
    F32,
    F16,
    #[serde(rename = "q8_0")]
    Q8,
    #[serde(rename = "q4_0")]
    Q4,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// Our kernels.
    Ours,
    /// burn's operations on the GPU.
    Burn,
    /// Our kernels on the CPU.
    Cpu,
}

impl Question {
    /// The name of the device that it is about.
    pub const fn device(&self) -> &'static str {
        if matches!(self.case.side, Side::Cpu) { "cpu" } else { "webgpu" }
    }

    /// Milliseconds of all runs, until a number of the last output is here.
    ///
    /// # Errors
    /// A reason in words.
    pub async fn milliseconds(&self, device: &Device) -> Result<f64, String> {
        let launch = self.case.kept(device)?;
        let start = Instant::now();
        values(launch(self.runs)).await.map_err(|error| format!("{error:#}"))?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

impl Case {
    fn kept(&self, device: &Device) -> Result<Rc<Launch>, String> {
        if let Some(launch) = CASES.with_borrow(|cases| cases.get(self).cloned()) {
            return Ok(launch);
        }
        let launch = Rc::new(self.set_up(device)?);
        CASES.with_borrow_mut(|cases| cases.insert(self.clone(), launch.clone()));
        Ok(launch)
    }

    fn set_up(&self, device: &Device) -> Result<Launch, String> {
        let setup = Setup { device, format: self.format, is_ours: self.side != Side::Burn };
        match (self.kernel, self.shape.as_slice()) {
            (Kernel::Conv3x3, &[batch, input, output, side]) => Ok(setup.convolution([batch, input, output, side])),
            (Kernel::Matmul, &[rows, input, output]) => Ok(setup.product([rows, input, output])),
            (Kernel::Attention, &[batch, queries, keys, heads, depth]) => {
                Ok(setup.attention([batch, queries, keys, heads, depth]))
            }
            (Kernel::Norm, &[batch, channels, side, groups]) => Ok(setup.norm([batch, channels, side, groups])),
            (Kernel::Taesd, &[batch, side]) => setup.network(networks::taesd, [batch, side]),
            (Kernel::Vae, &[batch, side]) => setup.network(networks::vae, [batch, side]),
            (Kernel::Unet, &[batch, side]) => setup.network(networks::unet, [batch, side]),
            _ => Err("the shape is of another kernel".to_owned()),
        }
    }
}

fn repeated<const D: usize>(compute: impl Fn() -> Tensor<D> + 'static) -> Launch {
    Box::new(move |runs| {
        let mut output = compute();
        for _ in 1..runs {
            output = compute();
        }
        output.slice([const { 0..1 }; D]).reshape([1])
    })
}

/// Makes operands of one side.
struct Setup<'a> {
    device: &'a Device,
    format: Numbers,
    is_ours: bool,
}

impl Setup<'_> {
    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), self.device)
    }

    fn packed(&self, [rows, columns]: [usize; 2]) -> PackedWeight {
        let format = match self.format {
            Numbers::F32 => Format::F32,
            Numbers::F16 => Format::F16,
            Numbers::Q8 => Format::Q8,
            Numbers::Q4 => Format::Q4,
        };
        // Small numbers in every format.
        let bytes: Vec<u8> =
            (0..rows * format.row_bytes(columns)).map(|at| if at % 2 == 1 { 0x20 } else { (at * 7) as u8 }).collect();
        PackedWeight::new(&bytes, format, [rows, columns], RowOrder::Straight, self.device)
    }

    fn network(
        &self,
        build: fn(Origin<'_>) -> Result<Pass, ConfigError>,
        [batch, side]: [usize; 2],
    ) -> Result<Launch, String> {
        let dtype = if matches!(self.format, Numbers::Q8) { Dtype::Q8_0 } else { Dtype::F32 };
        let origin = Origin { device: self.device, is_ours: self.is_ours, dtype };
        let pass = build(origin).map_err(|error| error.to_string())?;
        let latents = self.random([batch, 4, side, side]);
        Ok(repeated(move || pass(latents.clone())))
    }

    fn convolution(&self, [batch, input, output, side]: [usize; 4]) -> Launch {
        let (x, bias) = (self.random([batch, input, side, side]), self.random([output]));
        if self.is_ours {
            let (weight, bias) = (self.packed([output, input * 9]), padded_bias(bias.unsqueeze()));
            return repeated(move || conv3x3(x.clone(), &weight, bias.clone(), None, Conv3x3::default()));
        }
        let weight = self.random([output, input, 3, 3]);
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        repeated(move || conv2d(x.clone(), weight.clone(), Some(bias.clone()), options()))
    }

    fn product(&self, [rows, input, output]: [usize; 3]) -> Launch {
        let bias = self.random([output]);
        if self.is_ours {
            let (x, weight) = (self.random([1, rows, input]), self.packed([output, input]));
            return repeated(move || matmul(x.clone(), &weight, bias.clone(), None, Matmul::ROWS));
        }
        let (x, weight) = (self.random([rows, input]), self.random([output, input]));
        let weight = match self.format {
            // burn has no product of f32 inputs with f16 weights, and f16 itself takes an adapter that has it.
            Numbers::F32 | Numbers::F16 => weight,
            Numbers::Q8 => weight.quantize_dynamic(&scheme(QuantValue::Q8S)),
            Numbers::Q4 => weight.quantize_dynamic(&scheme(QuantValue::Q4S)),
        };
        repeated(move || x.clone().matmul(weight.clone().transpose()) + bias.clone().unsqueeze())
    }

    fn attention(&self, [batch, queries, keys, heads, depth]: [usize; 5]) -> Launch {
        let width = heads * depth;
        let q = self.random([batch, queries, width]);
        let (k, v) = (self.random([batch, keys, width]), self.random([batch, keys, width]));
        if self.is_ours {
            return repeated(move || attention::attend(q.clone(), k.clone(), v.clone(), heads, None));
        }
        let split =
            move |tensor: &Tensor<3>, tokens| tensor.clone().reshape([batch, tokens, heads, depth]).swap_dims(1, 2);
        repeated(move || {
            let scores = (split(&q, queries) / (depth as f64).sqrt()).matmul(split(&k, keys).swap_dims(2, 3));
            let output = softmax(scores, 3).matmul(split(&v, keys));
            output.swap_dims(1, 2).reshape([batch, queries, width])
        })
    }

    fn norm(&self, [batch, channels, side, groups]: [usize; 4]) -> Launch {
        let x = self.random([batch, channels, side, side]);
        let (weight, bias) = (self.random([channels]), self.random([channels]));
        if self.is_ours {
            return repeated(move || norm::group_norm(x.clone(), weight.clone(), bias.clone(), groups, 1e-5, true));
        }
        repeated(move || {
            let rows = x.clone().reshape([batch, groups, channels / groups * side * side]);
            let centred = rows.clone() - rows.mean_dim(2);
            let scale = (centred.clone().square().mean_dim(2) + 1e-5).sqrt().recip();
            let normed = (centred * scale).reshape([batch, channels, side * side]);
            let scaled = normed * weight.clone().reshape([1, channels, 1]) + bias.clone().reshape([1, channels, 1]);
            silu(scaled.reshape([batch, channels, side, side]))
        })
    }
}

/// GGUF's blocks as burn has them.
fn scheme(value: QuantValue) -> QuantScheme {
    QuantScheme::default()
        .with_value(value)
        .with_store(QuantStore::PackedU32(0))
        .per_block([BLOCK as u8], ScaleDtype::F32)
}
