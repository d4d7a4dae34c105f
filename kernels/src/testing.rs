//! What the kernels' tests share.

use crate::packed::{BLOCK, Format};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use std::sync::OnceLock;

/// How far products of half precision may move a sum, as a share of the largest: eleven bits each, three dozen added up at a time.
pub const HALF: f32 = 2e-3;

/// A device that the kernels run on, where the machine has one.
pub fn device() -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    DEVICE.get_or_init(|| Device::wgpu_options().init().ok()).clone()
}

/// Numbers between -1 and 1 without a pattern.
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f32::from((state >> 16) as u16) / 32_768.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Values on a device.
pub fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The largest difference, as a share of the largest expected value.
pub fn error<const D: usize>(found: Tensor<D>, expected: &[f32]) -> f32 {
    let found: Vec<f32> = found.into_data().try_to_vec().expect("f32");
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-3, |most: f32, value| most.max(value.abs()));
    found.iter().zip(expected).fold(0.0, |most: f32, (found, expected)| most.max((found - expected).abs())) / largest
}

/// A matrix as a file has it; scales go from ordinary ones to those below half precision's normal range.
pub fn matrix(format: Format, rows: usize, columns: usize) -> Vec<u8> {
    let values = numbers(rows * columns, 2);
    let quants = |bytes: usize| {
        let scales = values.iter().step_by(32).enumerate();
        scales.flat_map(move |(block, value)| {
            let scale = f16::from_f32(if block % 3 == 2 { value * 4e-5 } else { value * 0.02 });
            let quants = numbers(bytes, block as u32 + 7).into_iter().map(|value| (value * 127.9) as i8 as u8);
            scale.to_le_bytes().into_iter().chain(quants)
        })
    };
    match format {
        Format::F32 => bytemuck::cast_slice(&values).to_vec(),
        Format::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
        Format::Q8 => quants(32).collect(),
        Format::Q4 => quants(16).collect(),
    }
}

/// The values of rows as a file has them.
pub fn unpacked(bytes: &[u8], format: Format) -> Vec<f32> {
    let half = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    match format {
        Format::F32 => {
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
        Format::F16 => bytes.chunks_exact(2).map(half).collect(),
        Format::Q8 => bytes
            .chunks_exact(34)
            .flat_map(|block| block[2..].iter().map(move |&quant| f32::from(quant as i8) * half(block)))
            .collect(),
        Format::Q4 => bytes
            .chunks_exact(18)
            .flat_map(|block| {
                (0..BLOCK).map(move |column| {
                    let quant = block[2 + column % 16] >> (column / 16 * 4) & 15;
                    (f32::from(quant) - 8.0) * half(block)
                })
            })
            .collect(),
    }
}
