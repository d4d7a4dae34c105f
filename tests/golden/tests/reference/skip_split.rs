//! What it costs where a block mixes the two inputs that a layer of the way up joins.

use anyhow::{Context as _, Result, ensure};
use diffusion::{pipeline::keys, unet::UNetConfig};
use std::path::PathBuf;
use weights::{Dtype, Quantisation, Reason, TensorSource as _, dequantise, quantise, relative_error};

/// The halves of every row, each in a row of its own.
fn halves(values: &[f32], row: usize, first: usize) -> [Vec<f32>; 2] {
    let of = |range: std::ops::Range<usize>| values.chunks(row).flat_map(|row| &row[range.clone()]).copied().collect();
    [of(0..first), of(first..row)]
}

fn stored(values: &[f32], dtype: Dtype) -> Result<Vec<f32>> {
    Ok(dequantise(dtype, &quantise(values, dtype)?))
}

/// Relative errors of both halves: with blocks that mix them, and with blocks of their own.
fn errors(values: &[f32], row: usize, first: usize, dtype: Dtype) -> Result<[[f64; 2]; 2]> {
    let [hidden, skip] = halves(values, row, first);
    let [mixed_hidden, mixed_skip] = halves(&stored(values, dtype)?, row, first);
    let mixed = [relative_error(&hidden, &mixed_hidden), relative_error(&skip, &mixed_skip)];
    let split = [relative_error(&hidden, &stored(&hidden, dtype)?), relative_error(&skip, &stored(&skip, dtype)?)];
    Ok([mixed, split])
}

#[test]
fn the_half_of_smaller_weights_suffers_where_blocks_mix() -> Result<()> {
    let wave = |index: usize, scale: f32| (index as f32 * 0.7).sin() * (index as f32 * 0.013).cos() * scale;
    for (dtype, row, first) in [(Dtype::Q4_0, 96, 48), (Dtype::Q4K, 768, 384)] {
        // As far apart as ranges of activations are in the paper; weights that follow them are as far apart the other way.
        let values: Vec<f32> =
            (0..row * 64).map(|index| wave(index, if index % row < first { 1.0 } else { 0.05 })).collect();
        let [mixed, split] = errors(&values, row, first, dtype)?;
        println!("{dtype}: the smaller half moves by {:.4} in mixed blocks, by {:.4} in its own", mixed[1], split[1]);
        ensure!(mixed[1] > split[1] * 1.1, "{dtype}: {mixed:?} {split:?}");
        ensure!(mixed[0] < split[0] * 1.2, "{dtype}: {mixed:?} {split:?}");
    }
    Ok(())
}

#[test]
fn the_demo_has_weights_whose_blocks_would_mix_and_none_does() -> Result<()> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../static/models/demo/demo-q8_0.gguf");
    let source = weights::open_path(&file)?;
    let config: UNetConfig = serde_json::from_str(source.metadata(keys::UNET).context("no configuration")?)?;
    let quantisation = Quantisation::new(Dtype::Q4K);
    let mut found = 0;
    for info in source.tensors() {
        let Some(boundary) = info.name.strip_prefix("unet.").and_then(|name| config.boundary_of(name)) else {
            continue;
        };
        let choice = quantisation.choose(&info.name, &info.shape, Some(boundary));
        let kernel: usize = info.shape[2..].iter().product();
        let (row, first) = (info.shape[1] * kernel, boundary * kernel);
        ensure!(first % choice.dtype.block_len() == 0 && row % choice.dtype.block_len() == 0, "{} mixes", info.name);
        if choice.reason != Some(Reason::Split) {
            continue;
        }
        found += 1;
        let [mixed, split] = errors(&source.read(&info.name)?.to_f32(), row, first, Dtype::Q4K)?;
        println!("{} {:?}, {boundary} from below: Q4_K mixed {mixed:.5?}, split {split:.5?}", info.name, info.shape);
    }
    assert_eq!(found, 4);
    Ok(())
}
